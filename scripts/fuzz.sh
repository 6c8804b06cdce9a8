#!/usr/bin/env bash
# Run each fuzz target of fuzz/ for FUZZ_SECONDS. Usage: fuzz.sh [TARGET...] (all of them by default)
# What a target finds stays in fuzz/artifacts/, what it learned in fuzz/corpus/; fuzz/README.md says more.
source "$(dirname "$0")/lib.sh"

seconds=${FUZZ_SECONDS:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "FUZZ_SECONDS is $seconds. Say a number of seconds from 1 on, FUZZ_SECONDS=60."
require_rust
command -v c++ >/dev/null || die "libFuzzer is C++, and c++ is not on PATH. Install a compiler (Debian: apt-get install g++), then run this again."
"$SCRIPTS/setup-cargo-fuzz.sh"
cd "$ROOT"
# Without a sanitiser it builds with the stable compiler: those of the compiler's own are for nightly, and they look
# for misuse of memory, which the core, without `unsafe`, cannot commit. Panics and the targets' checks are found so.
options=(--fuzz-dir fuzz --sanitizer none)
export CARGO_TARGET_DIR=$BUILD/fuzz-target
targets=("$@")
if [ ${#targets[@]} = 0 ]; then mapfile -t targets < <("$CARGO_FUZZ" list --fuzz-dir fuzz); fi
run_logged "building the fuzz targets" fuzz "$CARGO_FUZZ" build "${options[@]}"
failed=()
for target in "${targets[@]}"; do
  corpus=("fuzz/corpus/$target")
  mkdir -p "${corpus[0]}"
  if [ -d "fuzz/seeds/$target" ]; then corpus+=("fuzz/seeds/$target"); fi
  step "fuzzing $target for $seconds s"
  "$CARGO_FUZZ" run "${options[@]}" "$target" "${corpus[@]}" -- \
    -max_total_time="$seconds" -dict="fuzz/$target.dict" -timeout=10 -print_final_stats=1 -print_funcs=0 -verbosity=0 || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then die "these found an input that breaks what must hold: ${failed[*]}. It is in fuzz/artifacts/."; fi
step "no findings"
