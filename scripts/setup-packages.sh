#!/usr/bin/env bash
# Install the system packages that the build needs and this machine lacks: libclang (Postgres'
# headers are read with it), venv, libraries of the fetched Postgres, and for root sudo
# (cargo-pgrx starts its test server through it). Prints the command before it runs it.
source "$(dirname "$0")/lib.sh"

have_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  compgen -G '/usr/lib/llvm*/lib*/libclang.so*' >/dev/null && compgen -G '/usr/lib/llvm*/lib*/clang/*/include/stddef.h' >/dev/null && return 0
  [ "$(uname)" = Darwin ] && return 0
  # Other distributions: clang itself comes with the library and the headers.
  ! command -v dpkg >/dev/null && command -v clang >/dev/null
}
libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
have_library() { [[ $libraries == *"$1 "* ]]; }

need=()
command -v cc >/dev/null || need+=(gcc libc6-dev)
have_libclang || need+=(libclang-dev)
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
if is_root && ! command -v sudo >/dev/null; then need+=(sudo); fi
if [ "$(uname -sm)" = 'Linux x86_64' ] && [ -z "${PG_CONFIG:-}" ]; then
  # What the fetched Postgres is linked with.
  for pair in libreadline.so.8:libreadline8 libxml2.so.2:libxml2 libssl.so.3:libssl3 \
    libzstd.so.1:libzstd1 liblz4.so.1:liblz4-1 libstdc++.so.6:libstdc++6; do
    have_library "${pair%%:*}" || need+=("${pair#*:}")
  done
fi
[ ${#need[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
  die "these are missing, here by their Debian names: ${need[*]}. Install what your system calls them, then run this again."
install=(apt-get install -y --no-install-recommends "${need[@]}")
if is_root; then
  as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
else
  die "these packages are missing: ${need[*]}. Run this as root, then try again:
  ${install[*]}"
fi
step "these packages are missing: ${need[*]}; running: apt-get update && ${install[*]}"
run_logged "refreshing the package lists" apt-update "${as_root[@]}" apt-get update
run_logged "installing ${need[*]}" apt-install "${as_root[@]}" "${install[@]}"
