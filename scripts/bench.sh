#!/usr/bin/env bash
# Run the benchmarks of a release build on one Postgres major. Writes docs/benchmarks.md if all rows were run.
# Usage: bench.sh MAJOR [options of python -m benches, such as --rows 1,3]
source "$(dirname "$0")/lib.sh"

choose_major "${1:-}"
shift $(($# > 0))
require_rust
"$SCRIPTS/tools.sh" packages crates tests migrations "litellm-$NEWEST_LITELLM"
pg_config=$("$SCRIPTS/postgres.sh" "$major")
"$SCRIPTS/install.sh" "$major" "$pg_config" release
step "benchmarks on Postgres $major"
cd "$ROOT"
LITELLM_SPEND_PG_CONFIG=$pg_config LITELLM_PYTHON=$(environment "litellm-$NEWEST_LITELLM") PYTHONPATH=tests:scripts:. \
  "$(environment tests)" -m benches "$@"
