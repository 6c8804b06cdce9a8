#!/usr/bin/env bash
# The long forms of the tests (marker `stress`) on one Postgres major. Usage: stress.sh MAJOR [options of pytest]
# The server under test is the debug build, because the tests kill it at points that a release does not have.
source "$(dirname "$0")/lib.sh"

major=${1:-}
prepare_tests "$major"
shift
"$SCRIPTS/install-extension.sh" "$major" "$pg_config" debug
step "pytest: the long forms on Postgres $major"
LITELLM_SPEND_PG_CONFIG=$pg_config "$python" -m pytest -c tests/pytest.ini -m stress tests "$@"
step "all long forms passed on Postgres $major"
