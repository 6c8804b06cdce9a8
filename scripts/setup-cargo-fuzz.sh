#!/usr/bin/env bash
# Build cargo-fuzz into the project's own tree. A debug build: it only starts the compiler and the targets.
source "$(dirname "$0")/lib.sh"

[ -x "$CARGO_FUZZ" ] && exit 0
require_rust
run_logged "building cargo-fuzz $CARGO_FUZZ_VERSION (a minute or two, once)" cargo-fuzz \
  env CARGO_TARGET_DIR="$BUILD/cargo-fuzz-target" \
  cargo install cargo-fuzz --version "=$CARGO_FUZZ_VERSION" --locked --debug --root "$BUILD/cargo-fuzz-$CARGO_FUZZ_VERSION"
rm -rf "$BUILD/cargo-fuzz-target"
