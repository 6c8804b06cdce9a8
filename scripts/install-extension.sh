#!/usr/bin/env bash
# Build the extension against a Postgres and install it there.
# Usage: install-extension.sh MAJOR PG_CONFIG debug|release
#   debug    for tests and the demo, with the points at which tests kill a process (src/failpoint.rs)
#   release  for use, without them: a release with them does not compile
source "$(dirname "$0")/lib.sh"

major=${1:?} pg_config=${2:?} profile=${3:?}
require_rust
export CARGO_PGRX PGRX_HOME=$BUILD/pgrx-home/pg$major
args=(--pg-config "$pg_config" --no-default-features)
case $profile in
  debug) args+=(--features "pg$major failpoints") ;;
  release) args+=(--features "pg$major" --release) ;;
  *) die "$profile is no profile: use debug or release." ;;
esac
cd "$ROOT"
run_logged "building the extension for Postgres $major ($profile) and installing it" "install-pg$major" \
  "$CARGO_PGRX" pgrx install "${args[@]}"
