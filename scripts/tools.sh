#!/usr/bin/env bash
# Install the tools of the other scripts, each tool once. Usage: tools.sh TOOL...
#   packages         system packages that a build needs; prints the command before it runs it
#   test-packages    the same packages, and what cargo-pgrx needs if root runs the tests
#   crates           the sources of the Rust dependencies
#   uv               creates the Python environments and fetches wheels
#   tests            the Python environment of the test suite, the demo and the benchmarks
#   migrations       the migrations of each tested LiteLLM
#   litellm-VERSION  a Python environment with that LiteLLM, OpenTelemetry and the callback of python/
#   python-VERSION   an environment of that Python with the LiteLLM and the psycopg that are tested there, without the
#                    callback. Fails if this machine does not have that Python
#   recipes          a Python environment with the servers of docs/recipes.md, the newest LiteLLM and the callback
#   prisma           Prisma's command line and its engines, for LiteLLM's proxy
#   chromium         the browser in which the page of the report is looked at
#   proxy-VERSION    a Python environment with that LiteLLM's proxy and the callback of python/
#   cargo-pgrx       runs the tests inside Postgres and writes the install SQL
#   cargo-fuzz       runs the fuzz targets
source "$(dirname "$0")/lib.sh"

have_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  compgen -G '/usr/lib/llvm*/lib*/libclang.so*' >/dev/null && compgen -G '/usr/lib/llvm*/lib*/clang/*/include/stddef.h' >/dev/null && return 0
  [ "$(uname)" = Darwin ] && return 0
  # Other distributions: clang itself comes with the library and the headers.
  ! command -v dpkg >/dev/null && command -v clang >/dev/null
}

have_venv() { "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; }

install_packages() { # [PACKAGE...]: packages that are needed in addition
  local need=("$@") libraries pair
  libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
  command -v cc >/dev/null || need+=(gcc libc6-dev)
  have_libclang || need+=(libclang-dev) # reads Postgres' headers
  have_venv || need+=(python3-venv)
  if [ "$(uname -sm)" = 'Linux x86_64' ] && [ -z "${PG_CONFIG:-}" ]; then
    # The libraries that the fetched Postgres is linked with.
    for pair in libreadline.so.8:libreadline8 libxml2.so.2:libxml2 libssl.so.3:libssl3 \
      libzstd.so.1:libzstd1 liblz4.so.1:liblz4-1 libstdc++.so.6:libstdc++6; do
      [[ $libraries == *"${pair%%:*} "* ]] || need+=("${pair#*:}")
    done
  fi
  [ ${#need[@]} -gt 0 ] || return 0

  command -v apt-get >/dev/null ||
    die "these packages are missing (Debian names): ${need[*]}. Install them under the names of your system, then run this again."
  local as_root install=(apt-get install -y --no-install-recommends "${need[@]}")
  if is_root; then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
  else
    die "these packages are missing: ${need[*]}. Run this command as root, then try again:
  ${install[*]}"
  fi
  step "these packages are missing: ${need[*]}; running: apt-get update && ${install[*]}"
  run_logged "refreshing the package lists" apt-update "${as_root[@]}" apt-get update
  run_logged "installing ${need[*]}" apt-install "${as_root[@]}" "${install[@]}"
}

# install_uv: installs the version of uv that tests/requirements-uv.txt pins with its hash.
install_uv() {
  local requirements=$ROOT/tests/requirements-uv.txt venv=$BUILD/venv-uv stamp
  stamp=$(stamp_of "$requirements")
  if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
    have_venv || install_packages
    rm -rf "$venv"
    run_logged "installing uv" uv sh -ec '"$1" -m venv "$2"; "$2/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes -r "$3"' \
      sh "$PYTHON" "$venv" "$requirements"
    echo "$stamp" >"$venv/.stamp"
  fi
  use_uv
}

# stamp_of FILE...: prints a hash of everything that an environment is created from.
stamp_of() { { "$PYTHON" -c 'import sys; print(sys.executable, sys.version)'; cat "$@"; } | sha256sum; }

# install_environment NAME: creates a Python environment from tests/requirements-NAME.txt. Its modules are compiled now,
# because many processes load LiteLLM, and compiled modules load in half the time.
install_environment() {
  local name=$1 requirements=$ROOT/tests/requirements-$1.txt venv=$BUILD/venv-$1 stamp
  local inputs=("$requirements") editable=() python=$PYTHON compile=--compile-bytecode
  [ -f "$requirements" ] || die "there is no tool called $name. The head of scripts/tools.sh lists the tools."
  if [[ $name == litellm-* || $name == proxy-* || $name == recipes ]]; then
    editable=("$ROOT/python")
    inputs+=("$ROOT/python/pyproject.toml")
  fi
  if [[ $name == python-* ]]; then
    python=$("$PYTHON" "$SCRIPTS/interpreters.py" "${name#python-}") || exit
    compile=--no-compile-bytecode # one program runs there, and it needs few of the modules
  fi
  stamp=$(PYTHON=$python stamp_of "${inputs[@]}")
  [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  install_uv
  rm -rf "$venv"
  run_logged "installing $(grep -cE '^[a-z0-9].*==' "$requirements") packages for $name" "venv-$name" sh -ec '"$1" venv --quiet --python "$2" "$3"; "$1" pip install --python "$3" "$5" --no-deps --require-hashes -r "$4"' \
    sh "$UV" "$python" "$venv" "$requirements" "$compile"
  if [ ${#editable[@]} -gt 0 ]; then
    run_logged "installing the callback for $name" "callback-$name" \
      "$UV" pip install --python "$venv" --no-deps --no-build-isolation --editable "${editable[@]}"
  fi
  echo "$stamp" >"$venv/.stamp"
}

# install_prisma: installs Prisma from npm. Otherwise prisma-client-py would fetch it from hosts of Prisma.
install_prisma() {
  local engine=$ROOT/tests/proxy/engine stamp
  stamp=$(stamp_of "$engine"/*)
  [ "$(cat "$PRISMA/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
  rm -rf "$PRISMA"
  cp -r "$engine" "$PRISMA"
  run_logged "installing Prisma" prisma npm ci --prefix "$PRISMA" --ignore-scripts --no-audit --no-fund
  echo "$stamp" >"$PRISMA/.stamp"
}

# install_chromium: installs the system's Chromium. Playwright would fetch another one from hosts of its own.
install_chromium() { command -v chromium >/dev/null || install_packages chromium; }

# install_proxy NAME: creates an environment with LiteLLM's proxy and with Prisma's client for that LiteLLM's schema.
install_proxy() {
  local bin=$BUILD/venv-$1/bin site
  install_prisma
  install_environment "$1"
  site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  [ ! -e "$site/prisma/client.py" ] || return 0
  run_logged "generating Prisma's client for $1" "client-$1" env PATH="$bin:$PATH" PRISMA_BINARY_CACHE_DIR="$PRISMA" \
    PRISMA_QUERY_ENGINE_BINARY="$PRISMA/query-engine.js" PRISMA_SCHEMA_ENGINE_BINARY="$PRISMA/schema-engine.js" \
    PRISMA_USE_NODEJS_BIN=false CHECKPOINT_DISABLE=1 \
    "$bin/prisma" generate --schema "$site/litellm/proxy/schema.prisma"
}

# install_migrations: unpacks LiteLLM's migrations from the wheels of litellm-proxy-extras.
install_migrations() {
  local version folder
  for version in "${!MIGRATIONS_REQUIREMENTS[@]}"; do
    folder=$BUILD/litellm-proxy-extras/$version
    [ ! -e "$folder" ] || continue
    install_uv
    rm -rf "$folder.part"
    unpack_wheel "LiteLLM's migrations $version" "${MIGRATIONS_REQUIREMENTS[$version]}" "$folder.part"
    mv "$folder.part" "$folder"
  done
}

# install_cargo_tool NAME VERSION: builds a cargo subcommand. These tools only copy files and start the compiler, so
# they are built without optimisation and without debug information.
install_cargo_tool() {
  local home=$BUILD/$1
  ! grep -q "^\"$1 $2 " "$home/.crates.toml" 2>/dev/null || return 0
  require_rust
  run_logged "building $1 $2, once" "$1" env CARGO_TARGET_DIR="$BUILD/$1-target" CARGO_PROFILE_DEV_DEBUG=0 \
    nice cargo install "$1" --version "=$2" --locked --debug --root "$home"
  rm -rf "$BUILD/$1-target"
}

[ $# -gt 0 ] || die "say what to install. The head of scripts/tools.sh lists the tools."
for tool in "$@"; do
  case $tool in
    packages) install_packages ;;
    test-packages)
      # cargo-pgrx starts its server and copies its files through sudo.
      if is_root && ! command -v sudo >/dev/null; then install_packages sudo; else install_packages; fi
      ;;
    crates)
      require_rust
      cd "$ROOT"
      cargo fetch --locked --offline --quiet 2>/dev/null ||
        run_logged "fetching the Rust dependencies" crates cargo fetch --locked
      ;;
    uv) install_uv ;;
    migrations) install_migrations ;;
    prisma) install_prisma ;;
    chromium) install_chromium ;;
    proxy-*) install_proxy "$tool" ;;
    cargo-pgrx) install_cargo_tool cargo-pgrx "$PGRX_VERSION" ;;
    cargo-fuzz) install_cargo_tool cargo-fuzz "$CARGO_FUZZ_VERSION" ;;
    *) install_environment "$tool" ;;
  esac
done
