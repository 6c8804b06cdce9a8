#!/usr/bin/env bash
# Build and test. While the out-of-process tests of one major run, its other tests and then the build of the next major
# run in parallel.
# Usage: test.sh run [MAJOR...]             every test on the first major (the newest by default); on the other majors
#                                           the tests that depend on the server: the tests inside Postgres,
#                                           tests/server, tests/isolation and tests/adversary
#        test.sh run all                    `run` for all supported majors, the newest first
#        test.sh prepare [MAJOR]            only install and build what a manual run of pytest needs
#        test.sh inside [MAJOR] [NAME]      only the tests inside Postgres; with NAME only tests whose name contains it
#        test.sh stress [MAJOR] [OPTION...] the long forms of the tests, with options of pytest
#        test.sh fuzz [TARGET...]           each fuzz target for FUZZ_SECONDS (60); see fuzz/README.md
source "$(dirname "$0")/lib.sh"

# The pytest options that spread the out-of-process tests over the cores.
PARALLEL=(-n auto --dist loadfile)
FAILED_BESIDE=$BUILD/log/failed-beside
failed=()

# install_tools: installs what tests need besides a Postgres.
install_tools() {
  local name environments=(tests "${LITELLM_VERSIONS[@]/#/litellm-}" "${LITELLM_PROXY_VERSIONS[@]/#/proxy-}" recipes)
  for name in "${PYTHON_VERSIONS[@]}"; do
    # tests/package names those that this machine lacks.
    if "$PYTHON" "$SCRIPTS/interpreters.py" "$name" >/dev/null 2>&1; then environments+=("python-$name"); fi
  done
  require_rust
  start packages "$SCRIPTS/tools.sh" test-packages
  start crates "$SCRIPTS/tools.sh" crates
  "$SCRIPTS/tools.sh" uv
  start environments "$SCRIPTS/tools.sh" "${environments[@]}" migrations
  # Servers under test must not see the caller's own settings.
  unset RUST_BACKTRACE PGOPTIONS PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE
}

# postgres_of MAJOR: prints the pg_config of the Postgres that tests run on. The first call fetches that Postgres.
postgres_of() { "$SCRIPTS/postgres.sh" "$1"; }

# build MAJOR: installs the extension into the Postgres of the out-of-process tests of this major.
build() {
  local path
  path=$(postgres_of "$1") && "$SCRIPTS/install.sh" "$1" "$path" tests
}

# test_core: tests the crate that does not depend on Postgres.
test_core() {
  cd "$ROOT"
  run_logged "cargo test: the core" test-core cargo test --locked -p litellm_spend_core
}

# test_inside MAJOR [NAME]: runs `cargo pgrx test` on a copy of the installation, because it installs a build of its
# own.
test_inside() (
  "$SCRIPTS/tools.sh" cargo-pgrx || exit 1
  cd "$ROOT"
  build_for "$1" "$(postgres_of "$1")"
  # pgrx puts its server's socket beside the data directory, so this path must be short.
  scratch=$(mktemp -d /tmp/lsp-pgrx.XXXX) || exit 1
  trap 'rm -rf "$scratch"' EXIT
  command=("$CARGO_PGRX" pgrx test "pg$1" ${2:+"$2"} --no-default-features --features failpoints --pgdata "$scratch/pgdata")
  if is_root; then
    chown "$SERVER_USER" "$scratch"
    command+=(--runas "$SERVER_USER")
  fi
  run_logged "cargo pgrx test: inside Postgres $1" "test-inside-pg$1" \
    env USER="${USER:-$(id -un)}" CARGO_PGRX="$CARGO_PGRX" PGRX_BUILD_FLAGS="$AS_FOR_TESTS" "${command[@]}"
)

# test_outside MAJOR TESTS...: runs pytest on servers of this major.
test_outside() {
  local major=$1
  shift
  cd "$ROOT"
  LITELLM_SPEND_PG_CONFIG=$(postgres_of "$major")
  export LITELLM_SPEND_PG_CONFIG
  step "pytest: out-of-process tests on Postgres $major"
  "$(environment tests)" -m pytest -c tests/pytest.ini "$@"
}

# attempt WHAT COMMAND...: runs the command, and continues if it fails. `conclude` reports the failure.
attempt() {
  local what=$1
  shift
  "$@" || failed+=("$what")
}

conclude() {
  local list
  if [ ${#failed[@]} -gt 0 ]; then
    printf -v list '%s, ' "${failed[@]}"
    die "failed: ${list%, }."
  fi
  step "$1"
}

# beside MAJOR NEXT: runs cargo's part while pytest runs on a major. It is a background job, so it writes what failed to
# a file.
beside() {
  failed=()
  if [ "$1" = "${majors[0]}" ]; then attempt "the core's tests" test_core; fi
  attempt "the tests inside Postgres $1" test_inside "$1"
  if [ "$1" = "$NEWEST_MAJOR" ]; then attempt "the comparison of the install SQL" "$SCRIPTS/generate.sh" check-sql; fi
  if [ -n "$2" ]; then attempt "the build for Postgres $2" build "$2"; fi
  [ ${#failed[@]} = 0 ] || printf '%s\n' "${failed[@]}" >"$FAILED_BESIDE"
}

# finish_beside: waits for the job `beside`, and adds what failed in it to `failed`.
finish_beside() {
  finish beside || failed+=("the job beside pytest")
  if [ -e "$FAILED_BESIDE" ]; then mapfile -t -O ${#failed[@]} failed <"$FAILED_BESIDE"; fi
}

run() {
  local index next tests major
  majors=("$@")
  if [ "$*" = all ]; then
    majors=("$NEWEST_MAJOR" "${MAJORS[@]:0:${#MAJORS[@]}-1}")
  elif [ $# = 0 ]; then
    choose_major
    majors=("$major")
  fi
  [ -z "${PG_CONFIG:-}" ] || [ ${#majors[@]} = 1 ] || die "PG_CONFIG= names one Postgres, but this command tests ${#majors[@]} majors. Use make test."
  for major in "${majors[@]}"; do choose_major "$major"; done
  install_tools
  postgres_of "${majors[0]}" >/dev/null
  finish packages crates
  build "${majors[0]}"
  finish environments
  attempt "the callback's unit tests" "$(environment tests)" -m pytest "$ROOT/python/tests"
  for index in "${!majors[@]}"; do
    major=${majors[index]} next=${majors[index + 1]:-}
    tests=("$ROOT/tests/server" "$ROOT/tests/isolation" "$ROOT/tests/adversary")
    if [ "$index" = 0 ]; then tests=("$ROOT/tests"); fi
    rm -f "$FAILED_BESIDE"
    LITELLM_SPEND_HEARTBEAT=off start beside beside "$major" "$next"
    attempt "the out-of-process tests on Postgres $major" test_outside "$major" "${PARALLEL[@]}" "${tests[@]}"
    finish_beside
    show_results "$index" "$major"
  done
  conclude "all tests passed on Postgres ${majors[*]}"
}

# show_results INDEX MAJOR: prints the results of cargo's tests, which ran while pytest printed.
show_results() {
  local logs=("$BUILD/log/test-inside-pg$2.log")
  if [ "$1" = 0 ]; then logs=("$BUILD/log/test-core.log" "${logs[@]}"); fi
  grep -hE '^ +Running |^test result:|^test .*FAILED' "${logs[@]}" || true
}

prepare() {
  choose_major "${1:-}"
  install_tools
  postgres_of "$major" >/dev/null
  finish packages crates
  build "$major"
  finish environments
  step "ready. Run a test, for example: .build/venv-tests/bin/pytest -c tests/pytest.ini tests/server/folding/test_folding.py"
}

inside() {
  choose_major "${1:-}"
  install_tools
  postgres_of "$major" >/dev/null
  finish packages crates environments
  test_inside "$major" "${2:-}"
  show_results 1 "$major"
}

# stress [MAJOR] [OPTION...]: runs the long forms of the tests on a debug build, because the tests kill the server at
# points that a release does not have. This prepares the previous major too, for pg_upgrade.
stress() {
  local options=() untested= older
  prepare "${1:-}"
  [ $# = 0 ] || shift
  older=$((major - 1))
  if [[ " ${MAJORS[*]} " != *" $older "* ]]; then
    untested=", but pg_upgrade was NOT tested: Postgres $older is not supported"
    options+=(--deselect server/backup_and_replication/test_pg_upgrade.py)
  else
    # PG_CONFIG names the Postgres under test, never the older Postgres.
    LITELLM_SPEND_OLD_PG_CONFIG=$(PG_CONFIG=${OLD_PG_CONFIG:-} "$SCRIPTS/postgres.sh" "$older") ||
      die "no Postgres $older to upgrade from. Name one with OLD_PG_CONFIG=/path/to/pg_config; PG_CONFIG= names the Postgres under test."
    export LITELLM_SPEND_OLD_PG_CONFIG
    "$SCRIPTS/install.sh" "$older" "$LITELLM_SPEND_OLD_PG_CONFIG" tests
  fi
  test_outside "$major" -m stress "${options[@]}" "$@" tests
  step "all long forms passed on Postgres $major$untested"
}

# fuzz [TARGET...]: runs the fuzz targets. Findings stay in fuzz/artifacts/, and inputs that reached new code in
# fuzz/corpus/.
fuzz() {
  local seconds=${FUZZ_SECONDS:-60} targets=("$@") known target corpus
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "FUZZ_SECONDS is $seconds. Say a whole number of seconds from 1 on, such as FUZZ_SECONDS=60."
  require_rust
  command -v c++ >/dev/null || die "c++ is not on PATH, and libFuzzer is written in C++. Install a compiler (Debian: apt-get install g++), then run this again."
  "$SCRIPTS/tools.sh" cargo-fuzz
  cd "$ROOT"
  # The targets are built without a sanitiser, so the stable compiler can build them. Sanitisers need the nightly
  # compiler. They look for misuse of memory, and the core cannot misuse memory, because it has no `unsafe`. Panics and
  # failed checks of the targets are found without them.
  local options=(--fuzz-dir fuzz --sanitizer none)
  export CARGO_TARGET_DIR=$BUILD/fuzz-target
  mapfile -t known < <("$CARGO_FUZZ" list --fuzz-dir fuzz)
  if [ ${#targets[@]} = 0 ]; then targets=("${known[@]}"); fi
  for target in "${targets[@]}"; do
    [[ " ${known[*]} " == *" $target "* ]] || die "there is no fuzz target $target. Use ${known[*]}."
  done
  run_logged "building the fuzz targets" fuzz "$CARGO_FUZZ" build "${options[@]}"
  for target in "${targets[@]}"; do
    corpus=("fuzz/corpus/$target")
    mkdir -p "${corpus[0]}"
    if [ -d "fuzz/seeds/$target" ]; then corpus+=("fuzz/seeds/$target"); fi
    step "fuzzing $target for $seconds s"
    attempt "$target, which found a failing input (see fuzz/artifacts)" \
      "$CARGO_FUZZ" run "${options[@]}" "$target" "${corpus[@]}" -- -max_total_time="$seconds" \
      -dict="fuzz/$target.dict" -timeout=10 -print_final_stats=1 -print_funcs=0 -verbosity=0
  done
  conclude "no findings"
}

case ${1:-} in
  run | prepare | inside | stress | fuzz) "$@" ;;
  *) die "say what to do: run, prepare, inside, stress or fuzz. The head of scripts/test.sh describes each of them." ;;
esac
