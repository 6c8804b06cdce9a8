#!/usr/bin/env bash
# Build cargo-fuzz.
source "$(dirname "$0")/lib.sh"

install_cargo_tool cargo-fuzz "$CARGO_FUZZ_VERSION" "a minute or two"
