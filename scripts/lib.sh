# What every script here shares: paths, progress lines, errors, and which user runs servers.
# Sourced, never run. Progress and errors go to stderr, so that a script's stdout is its answer.
set -euo pipefail
umask 022 # the user that runs servers must be able to read what root installs

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
SCRIPTS=$ROOT/scripts
BUILD=$ROOT/.build
PYTHON=${PYTHON:-python3}
PGRX_VERSION=0.18.1
CARGO_PGRX=$BUILD/cargo-pgrx-$PGRX_VERSION/bin/cargo-pgrx
CARGO_FUZZ_VERSION=0.13.2
CARGO_FUZZ=$BUILD/cargo-fuzz-$CARGO_FUZZ_VERSION/bin/cargo-fuzz
LITELLM_VERSIONS=(1.79.0 1.109.1)
# All steps of one `make` count their seconds from the same start.
export LITELLM_SPEND_T0=${LITELLM_SPEND_T0:-$(date +%s)}
# PostgreSQL refuses to run as root, so root runs servers as this user.
SERVER_USER=${SERVER_USER:-nobody}

step() { printf '[%3d s] %s\n' "$(($(date +%s) - LITELLM_SPEND_T0))" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# run_logged LABEL LOG_NAME COMMAND...: output goes to .build/log/LOG_NAME.log, a line every ten
# seconds says that it goes on, and the log's end is shown when it fails.
run_logged() {
  local label=$1 log=$BUILD/log/$2.log
  shift 2
  mkdir -p "$BUILD/log"
  "$PYTHON" "$SCRIPTS/run_logged.py" "$label" "$log" "$@"
}

require_python() {
  command -v "$PYTHON" >/dev/null || die "$PYTHON is not there. Install Python 3.10 or newer (Debian: apt-get install python3 python3-venv), or name one with PYTHON=."
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$PYTHON is $("$PYTHON" --version 2>&1), but 3.10 or newer is needed. Name another with PYTHON=."
}

require_rust() {
  command -v cargo >/dev/null || die "cargo is not on PATH. Install Rust 1.95 or newer (https://rustup.rs), then run this again."
  command -v rustfmt >/dev/null || die "rustfmt is not on PATH, and the bindings need it. Run: rustup component add rustfmt"
}

# check_major MAJOR: one of the supported Postgres majors.
check_major() {
  case ${1:-} in
    '') die "no Postgres major is known${PG_CONFIG:+: PG_CONFIG=$PG_CONFIG is not a working pg_config}. Say PG=18." ;;
    15 | 16 | 17 | 18) ;;
    *) die "Postgres $1 is not supported: use 15, 16, 17 or 18." ;;
  esac
}

# install_cargo_tool NAME VERSION TIME: build a cargo subcommand into the project's own tree, once. A debug build
# takes half the time of a release build, and these tools only copy files and start the compiler.
install_cargo_tool() {
  local home=$BUILD/$1-$2
  [ -x "$home/bin/$1" ] && return
  require_rust
  run_logged "building $1 $2 ($3, once)" "$1" env CARGO_TARGET_DIR="$BUILD/$1-target" \
    cargo install "$1" --version "=$2" --locked --debug --root "$home"
  rm -rf "$BUILD/$1-target"
}

# prepare_tests MAJOR: all that tests on that major need; sets python and pg_config.
prepare_tests() {
  check_major "$1"
  require_rust
  "$SCRIPTS/setup-packages.sh"
  python=$("$SCRIPTS/setup-venv.sh" tests)
  pg_config=$("$SCRIPTS/setup-postgres.sh" "$1")
  "$SCRIPTS/setup-cargo-pgrx.sh"
  cd "$ROOT"
  # The callers' own settings must not reach the servers under test.
  unset RUST_BACKTRACE PGOPTIONS PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE
}

# server_can_enter DIR: can the user that runs servers reach this directory?
server_can_enter() {
  is_root || return 0
  setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --clear-groups test -x "$1"
}

# server_root: where to keep what the server's user must read (Postgres itself). It is .build/,
# unless root works in a tree that this user cannot enter, such as one under /root.
server_root() {
  mkdir -p "$BUILD"
  if server_can_enter "$BUILD"; then
    echo "$BUILD"
  else
    echo "/var/cache/litellm_spend/$(printf %s "$ROOT" | sha256sum | cut -c1-12)"
  fi
}
