#!/usr/bin/env bash
# Build cargo-pgrx, in the version that Cargo.toml pins for pgrx.
source "$(dirname "$0")/lib.sh"

install_cargo_tool cargo-pgrx "$PGRX_VERSION" "about two minutes"
