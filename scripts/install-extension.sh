#!/usr/bin/env bash
# Build the extension against a Postgres and install it there.
# Usage: install-extension.sh MAJOR PG_CONFIG debug|release
source "$(dirname "$0")/lib.sh"

major=${1:?} pg_config=${2:?} profile=${3:?}
require_rust
export CARGO_PGRX PGRX_HOME=$BUILD/pgrx-home/pg$major
args=(--pg-config "$pg_config" --no-default-features --features "pg$major")
[ "$profile" = debug ] || args+=(--release)
cd "$ROOT"
run_logged "building the extension for Postgres $major ($profile) and installing it" "install-pg$major" \
  "$CARGO_PGRX" pgrx install "${args[@]}"
