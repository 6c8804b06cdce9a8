#!/usr/bin/env bash
# The demo, from nothing: see demo/demo.py. Usage: demo.sh MAJOR [options of demo.py]
# With DEMO_DATABASE_URL= (make demo DATABASE_URL=) it runs on that server, where the extension must
# be installed already.
source "$(dirname "$0")/lib.sh"

major=${1:-}
check_major "$major"
shift
"$SCRIPTS/setup-packages.sh"
python=$("$SCRIPTS/setup-venv.sh" tests)
litellm_python=$("$SCRIPTS/setup-venv.sh" "litellm-${LITELLM_VERSIONS[-1]}")
if [ -z "${DEMO_DATABASE_URL:-}" ]; then
  unset DEMO_DATABASE_URL
  [ -z "${DATABASE_URL:-}" ] ||
    step "the environment's DATABASE_URL is left alone; to use it: make demo DATABASE_URL=\"\$DATABASE_URL\""
  pg_config=$("$SCRIPTS/setup-postgres.sh" "$major")
  "$SCRIPTS/setup-cargo-pgrx.sh"
  "$SCRIPTS/install-extension.sh" "$major" "$pg_config" debug
  export LITELLM_SPEND_PG_CONFIG=$pg_config
fi
"$python" "$ROOT/demo/demo.py" "$litellm_python" "$@"
