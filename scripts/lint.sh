#!/usr/bin/env bash
# Check the formatting, the lints and the types of Rust and Python. Warnings are errors. Usage: lint.sh [MAJOR]
source "$(dirname "$0")/lib.sh"

choose_major "${1:-}"
require_rust
"$SCRIPTS/tools.sh" packages crates tests "litellm-$NEWEST_LITELLM"
pg_config=$("$SCRIPTS/postgres.sh" "$major")
build_for "$major" "$pg_config"
cd "$ROOT"
step "cargo fmt"
cargo fmt --all --check
step "cargo clippy"
cargo clippy -p litellm_spend_core --all-targets -- -D warnings
cargo clippy -p litellm_spend --no-default-features --features "pg$major" -- -D warnings
cargo clippy -p litellm_spend --no-default-features --features "pg$major failpoints" -- -D warnings
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null ||
  die "fuzz/Cargo.lock does not match the core. Run: cargo update --workspace --manifest-path fuzz/Cargo.toml"
step "ruff"
folders=(python tests scripts demo benches)
"$(environment tests)" -m ruff check --config tests/ruff.toml "${folders[@]}"
"$(environment tests)" -m ruff format --config tests/ruff.toml --check "${folders[@]}"
step "mypy"
# With LiteLLM itself, mypy also compares the hooks with those of LiteLLM's class. Without it they could be anything.
"$(environment tests)" -m mypy --config-file python/pyproject.toml --cache-dir "$BUILD/mypy" \
  --python-executable "$(environment "litellm-$NEWEST_LITELLM")"
step "no lint found anything"
