#!/usr/bin/env bash
# Every test on Postgres 18, then the extension's own and the server tests on 15, 16 and 17.
# Exits with 1 if anything failed, after it ran all.
source "$(dirname "$0")/lib.sh"

[ -z "${PG_CONFIG:-}" ] || die "PG_CONFIG= names one Postgres, and this runs four: use make test."
failed=()
"$SCRIPTS/test.sh" 18 all || failed+=(18)
for major in 15 16 17; do
  "$SCRIPTS/test.sh" "$major" "${1:-all}" || failed+=("$major")
done
[ ${#failed[@]} -eq 0 ] || die "tests failed on Postgres ${failed[*]}; the output above says which."
step "all tests passed on Postgres 15, 16, 17 and 18"
