#!/usr/bin/env bash
# Formatting and lints of the Rust and the Python, warnings being errors. Usage: lint.sh MAJOR
source "$(dirname "$0")/lib.sh"

major=${1:-}
check_major "$major"
require_rust
"$SCRIPTS/setup-packages.sh"
python=$("$SCRIPTS/setup-venv.sh" tests)
"$SCRIPTS/setup-postgres.sh" "$major" >/dev/null
export PGRX_HOME=$BUILD/pgrx-home/pg$major
cd "$ROOT"
step "cargo fmt"
cargo fmt --all --check
step "cargo clippy"
cargo clippy -p litellm_spend_core --all-targets -- -D warnings
cargo clippy -p litellm_spend --no-default-features --features "pg$major" -- -D warnings
cargo clippy -p litellm_spend --no-default-features --features "pg$major failpoints" -- -D warnings
step "ruff"
python_folders=()
for folder in python tests scripts demo benches; do [ ! -d "$folder" ] || python_folders+=("$folder"); done
"$python" -m ruff check --config tests/ruff.toml "${python_folders[@]}"
"$python" -m ruff format --config tests/ruff.toml --check "${python_folders[@]}"
step "no complaints"
