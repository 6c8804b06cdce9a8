#!/usr/bin/env bash
# Compile tests/requirements-*.in into fully pinned, hashed requirements, for Python 3.10 and newer.
# For maintainers, after a change of an .in file; needs uv (pip install uv).
source "$(dirname "$0")/lib.sh"

command -v uv >/dev/null || die "uv is not on PATH. Install it with: pip install uv"
cd "$ROOT/tests"
for name in tests "${LITELLM_VERSIONS[@]/#/litellm-}"; do
  step "requirements-$name.txt"
  uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links \
    --override requirements-overrides.in --custom-compile-command scripts/compile-requirements.sh \
    "requirements-$name.in" -o "requirements-$name.txt"
done
