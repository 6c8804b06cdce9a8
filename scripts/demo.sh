#!/usr/bin/env bash
# Install everything that the demo needs, then run it: see demo/demo.py. Usage: demo.sh [MAJOR] [options of demo.py]
# With DEMO_DATABASE_URL= (make demo DATABASE_URL=) the demo runs on that server. The extension must be installed there
# already.
source "$(dirname "$0")/lib.sh"

[[ ${1:-} == -* ]] || { choose_major "${1:-}"; shift $(($# > 0)); }
[ -n "${major:-}" ] || choose_major
if [ -n "${DEMO_DATABASE_URL:-}" ]; then
  "$SCRIPTS/tools.sh" tests "litellm-$NEWEST_LITELLM"
else
  unset DEMO_DATABASE_URL
  [ -z "${DATABASE_URL:-}" ] ||
    step "the environment's DATABASE_URL is not used; to use it: make demo DATABASE_URL=\"\$DATABASE_URL\""
  require_rust
  start packages "$SCRIPTS/tools.sh" packages
  start crates "$SCRIPTS/tools.sh" crates
  "$SCRIPTS/tools.sh" uv
  start environments "$SCRIPTS/tools.sh" tests "litellm-$NEWEST_LITELLM"
  LITELLM_SPEND_PG_CONFIG=$("$SCRIPTS/postgres.sh" "$major")
  export LITELLM_SPEND_PG_CONFIG
  finish packages crates
  "$SCRIPTS/install.sh" "$major" "$LITELLM_SPEND_PG_CONFIG" debug
  finish environments
fi
"$(environment tests)" "$ROOT/demo/demo.py" "$(environment "litellm-$NEWEST_LITELLM")" "$@"
