#!/usr/bin/env bash
# Build the callback's wheel and source distribution. Usage: package.sh [FOLDER], which is dist/ if it is not given.
source "$(dirname "$0")/lib.sh"

folder=${1:-$ROOT/dist}
# FOLDER is relative to where the caller is.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
"$SCRIPTS/tools.sh" tests uv
use_uv

# A copy without what earlier builds left: setuptools would take over their list of files.
copy=$(mktemp -d)
trap 'rm -rf "$copy"; stop_jobs' EXIT
cd "$ROOT/python"
tar --exclude='*.egg-info' --exclude=__pycache__ -cf - LICENSE MANIFEST.in README.md pyproject.toml build_backend src | tar -xf - -C "$copy"
# The wheel is built from the source distribution, so both hold the same files.
run_logged "building the callback's package" package \
  "$UV" build --quiet --offline --no-build-isolation --python "$(environment tests)" --out-dir "$folder" "$copy"
rm -f "$folder/.gitignore" # uv's
step "the wheel and the source distribution $EXTENSION_VERSION are in $folder"
