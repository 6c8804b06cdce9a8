#!/usr/bin/env bash
# Write sql/litellm_tables.sql anew from LiteLLM's own migrations. For maintainers, when the newest
# supported LiteLLM changes. Usage: dump-litellm-tables.sh MAJOR
source "$(dirname "$0")/lib.sh"

major=${1:-}
check_major "$major"
python=$("$SCRIPTS/setup-venv.sh" tests)
pg_config=$("$SCRIPTS/setup-postgres.sh" "$major")
step "LiteLLM's migrations on a throwaway server"
LITELLM_SPEND_PG_CONFIG=$pg_config "$python" "$SCRIPTS/dump_litellm_tables.py"
step "sql/litellm_tables.sql is written"
