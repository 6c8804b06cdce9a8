#!/usr/bin/env bash
# Make one of the project's Python environments from its hashed requirements, and print the path
# of its interpreter. Usage: setup-venv.sh tests | demo | litellm-VERSION
#   tests             pytest and psycopg: what runs the test suite
#   litellm-VERSION   that LiteLLM, OpenTelemetry and the callback of python/: what the suite runs
source "$(dirname "$0")/lib.sh"

name=${1:?usage: setup-venv.sh tests | litellm-VERSION}
requirements=$ROOT/tests/requirements-$name.txt
[ -f "$requirements" ] || die "there is no environment called $name: $requirements does not exist."
venv=$BUILD/venv-$name
require_python

callback=()
inputs=("$requirements")
if [[ $name == litellm-* ]]; then
  callback=("$ROOT/python")
  inputs+=("$ROOT/python/pyproject.toml")
fi
stamp=$({ "$PYTHON" -c 'import sys; print(sys.executable, sys.version)'; cat "${inputs[@]}"; } | sha256sum)
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$venv"
  run_logged "making the Python environment $name" "venv-$name" "$PYTHON" -m venv "$venv"
  run_logged "installing $(grep -cE '^[a-z0-9].*==' "$requirements") packages into it" "pip-$name" \
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes -r "$requirements"
  if [ ${#callback[@]} -gt 0 ]; then
    run_logged "installing the callback into it" "callback-$name" \
      "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable "${callback[@]}"
  fi
  echo "$stamp" >"$venv/.stamp"
fi
echo "$venv/bin/python"
