#!/usr/bin/env bash
# Every test on one Postgres major. Usage: test.sh MAJOR [all | extension]
#   all         the core's tests, the callback's, the extension's own, and every out-of-process test
#   extension   what depends on the server's version: the extension's own tests and tests/server
# Runs everything even when a part fails, and exits with 1 then.
source "$(dirname "$0")/lib.sh"

major=${1:-}
scope=${2:-all}
prepare_tests "$major"
export CARGO_PGRX PGRX_HOME=$BUILD/pgrx-home/pg$major

failed=()
if [ "$scope" = all ]; then
  step "cargo test: the core"
  cargo test -p litellm_spend_core || failed+=("the core's tests")
  step "pytest: the callback's unit tests"
  "$python" -m pytest python/tests || failed+=("the callback's unit tests")
fi

# pgrx puts its server's socket beside the data directory, so this path must be short.
scratch=$(mktemp -d /tmp/lsp-pgrx.XXXX)
trap 'rm -rf "$scratch"' EXIT
pgrx_test=("$CARGO_PGRX" pgrx test "pg$major" --no-default-features --pgdata "$scratch/pgdata")
if is_root; then
  chown "$SERVER_USER" "$scratch"
  pgrx_test+=(--runas "$SERVER_USER")
else
  export USER=${USER:-$(id -un)}
fi
step "cargo pgrx test: the extension's own tests on Postgres $major"
"${pgrx_test[@]}" || failed+=("the extension's own tests on Postgres $major")

# After them, because they install a build of their own with the test functions in it.
if "$SCRIPTS/install-extension.sh" "$major" "$pg_config" debug; then
  tests=(tests/server)
  if [ "$scope" = all ]; then
    tests=(tests)
    # Before the tests, whose time is limited: a download may take minutes.
    for version in 1.79.0 1.109.1; do
      "$SCRIPTS/setup-venv.sh" "litellm-$version" >/dev/null || failed+=("the environment of LiteLLM $version")
    done
  fi
  step "pytest: out-of-process tests on Postgres $major"
  # The tests of a file share databases, and so run in the same process; of the processes there is one a core.
  LITELLM_SPEND_PG_CONFIG=$pg_config "$python" -m pytest -c tests/pytest.ini -n auto --dist loadfile "${tests[@]}" ||
    failed+=("the out-of-process tests on Postgres $major")
else
  failed+=("the installation on Postgres $major")
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf -v list '%s, ' "${failed[@]}"
  die "failed: ${list%, }."
fi
step "all tests passed on Postgres $major"
