#!/usr/bin/env bash
# The long forms of the tests (marker `stress`) on one Postgres major. Usage: stress.sh MAJOR [options of pytest]
# The server under test is the debug build, because the tests kill it at points that a release does not have.
# The major before it is prepared too, for pg_upgrade; Postgres 15 has none that is supported.
source "$(dirname "$0")/lib.sh"

major=${1:-}
prepare_tests "$major"
shift
options=() untested=
if [ "$major" = 15 ]; then
  untested=", but pg_upgrade was NOT tested: no major before 15 is supported"
  options+=(--deselect server/test_pg_upgrade.py)
else
  # PG_CONFIG names the Postgres under test, and never the older one.
  LITELLM_SPEND_OLD_PG_CONFIG=$(PG_CONFIG=${OLD_PG_CONFIG:-} "$SCRIPTS/setup-postgres.sh" $((major - 1))) ||
    die "no Postgres $((major - 1)) to upgrade from. Name one with OLD_PG_CONFIG=/path/to/pg_config; PG_CONFIG= is the one under test."
  export LITELLM_SPEND_OLD_PG_CONFIG
  "$SCRIPTS/install-extension.sh" $((major - 1)) "$LITELLM_SPEND_OLD_PG_CONFIG" debug
fi
"$SCRIPTS/install-extension.sh" "$major" "$pg_config" debug
step "pytest: the long forms on Postgres $major"
LITELLM_SPEND_PG_CONFIG=$pg_config "$python" -m pytest -c tests/pytest.ini -m stress tests "${options[@]}" "$@"
step "all long forms passed on Postgres $major$untested"
