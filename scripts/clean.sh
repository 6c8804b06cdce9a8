#!/usr/bin/env bash
# Remove all that the other scripts made: .build/, Cargo's target directory, and the copies of
# Postgres that lie elsewhere (server_root in lib.sh says when).
source "$(dirname "$0")/lib.sh"

elsewhere=$(server_root)
rm -rf "$BUILD" "${CARGO_TARGET_DIR:-$ROOT/target}"
if [ "$elsewhere" != "$BUILD" ]; then rm -rf "$elsewhere"; fi
