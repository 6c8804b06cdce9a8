#!/usr/bin/env bash
# Build the extension with cargo and install it into a Postgres.
# Usage: install.sh                           a release, into the Postgres that PG_CONFIG= names (pg_config on PATH by
#                                             default); only this script writes into an installation of the user
#        install.sh MAJOR PG_CONFIG KIND      into a Postgres that postgres.sh provides
#          release   for use
#          debug     the same code, which builds sooner
#          tests     with the points where tests kill a process (src/failpoint.rs) and the functions of #[pg_test]
source "$(dirname "$0")/lib.sh"

# check_installation: fails unless the user may install into this Postgres.
check_installation() {
  local folder
  [ -f "$("$pg_config" --includedir-server)/postgres.h" ] ||
    die "$version has no server headers. Install them (Debian: postgresql-server-dev-$major)."
  for folder in "$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)"; do
    [ -w "$folder" ] || die "you may not write into $folder of $version. Run make install as root."
  done
}

# build KIND: sets `library` to the library that cargo built.
build() {
  local profile=debug features="pg$major" target=${CARGO_TARGET_DIR:-$ROOT/target} suffix=so
  local options=(--lib "$AS_FOR_TESTS" --locked --no-default-features --target-dir "$target")
  case $1 in
    release) profile=release options+=(--release) ;;
    debug) ;;
    tests) features+=" $TEST_FEATURES" ;;
    *) die "there is no build kind $1. Use debug, tests or release." ;;
  esac
  cd "$ROOT"
  build_for "$major" "$pg_config"
  run_logged "building the extension for Postgres $major ($1)" "build-pg$major-$1" \
    cargo build "${options[@]}" --features "$features"
  [ "$(uname)" != Darwin ] || suffix=dylib
  library=$target/$profile/liblitellm_spend.$suffix
}

# copy: copies the library, the control file, the version's install SQL and the upgrades. It uses `install`, which
# creates new files, because a running server has the old library mapped.
copy() {
  local libraries extensions suffix=${library##*.} control
  libraries=$("$pg_config" --pkglibdir)
  extensions=$("$pg_config" --sharedir)/extension
  if [ "$suffix" = dylib ] && [ "$major" -lt 16 ]; then suffix=so; fi
  control=$(mktemp)
  sed "s/@CARGO_VERSION@/$EXTENSION_VERSION/" "$ROOT/litellm_spend.control" >"$control"
  install -d "$libraries" "$extensions"
  install -m 755 "$library" "$libraries/litellm_spend.$suffix"
  install -m 644 "$control" "$extensions/litellm_spend.control"
  install -m 644 "$ROOT"/sql/litellm_spend--*.sql "$extensions"
  rm "$control"
}

require_rust
if [ $# = 0 ]; then
  pg_config=$(command -v "${PG_CONFIG:-pg_config}") ||
    die "there is no ${PG_CONFIG:-pg_config}. Name the Postgres to install into: make install PG_CONFIG=/path/to/pg_config"
  version=$("$pg_config" --version)
  PG_CONFIG=$pg_config choose_major
  check_installation
  start crates "$SCRIPTS/tools.sh" crates
  "$SCRIPTS/tools.sh" packages
  finish crates
  build release
  copy
  cat >&2 <<TEXT
Installed into $version ($("$pg_config" --pkglibdir), $("$pg_config" --sharedir)/extension). Next:
  1. in postgresql.conf: shared_preload_libraries = 'litellm_spend', then restart the server
  2. in the database:    CREATE EXTENSION litellm_spend;
TEXT
else
  [ $# = 3 ] || die "say MAJOR PG_CONFIG KIND, or nothing to install into the Postgres that PG_CONFIG= names."
  PG_CONFIG=$2 choose_major "$1"
  pg_config=$2
  build "$3"
  copy
fi
