#!/usr/bin/env bash
# Build cargo-pgrx, in the version that Cargo.toml pins for pgrx, into the project's own tree.
# A debug build takes half the time of a release build, and it only copies files.
source "$(dirname "$0")/lib.sh"

[ -x "$CARGO_PGRX" ] && exit 0
require_rust
run_logged "building cargo-pgrx $PGRX_VERSION (about two minutes, once)" cargo-pgrx \
  env CARGO_TARGET_DIR="$BUILD/cargo-pgrx-target" \
  cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --debug --root "$BUILD/cargo-pgrx-$PGRX_VERSION"
rm -rf "$BUILD/cargo-pgrx-target"
