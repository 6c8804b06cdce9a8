#!/usr/bin/env bash
# The benchmarks on one Postgres major, of a release build; writes docs/benchmarks.md where all rows were run.
# Usage: bench.sh MAJOR [options of python -m benches, such as --rows 1,3]
source "$(dirname "$0")/lib.sh"

major=${1:-}
prepare_tests "$major"
shift
litellm_python=$("$SCRIPTS/setup-venv.sh" "litellm-${LITELLM_VERSIONS[-1]}")
"$SCRIPTS/install-extension.sh" "$major" "$pg_config" release
step "benchmarks on Postgres $major"
LITELLM_SPEND_PG_CONFIG=$pg_config LITELLM_PYTHON=$litellm_python PYTHONPATH=tests:. "$python" -m benches "$@"
