#!/usr/bin/env bash
# Build a release of the extension and install it into the Postgres that PG_CONFIG= names (the
# pg_config on PATH by default). The only script that writes into an installation of the user's.
source "$(dirname "$0")/lib.sh"

PG_CONFIG=${PG_CONFIG:-pg_config}
pg_config=$(command -v "$PG_CONFIG") ||
  die "there is no ${PG_CONFIG}. Name the Postgres to install into: make install PG_CONFIG=/path/to/pg_config"
version=$("$pg_config" --version)
major=$(sed -E 's/[^0-9]*([0-9]+).*/\1/' <<<"$version")
check_major "$major"
[ -f "$("$pg_config" --includedir-server)/postgres.h" ] ||
  die "$version has no server headers. Install them (Debian: postgresql-server-dev-$major)."
folders=("$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)/extension")
for folder in "${folders[@]}"; do
  [ -w "$folder" ] || die "you may not write into $folder of $version. Run make install as root."
done
"$SCRIPTS/setup-packages.sh"
PG_CONFIG=$pg_config "$SCRIPTS/setup-postgres.sh" "$major" >/dev/null # registers the bindings' headers
"$SCRIPTS/setup-cargo-pgrx.sh"
"$SCRIPTS/install-extension.sh" "$major" "$pg_config" release
cat >&2 <<TEXT
Installed into $version (${folders[*]}). Next:
  1. in postgresql.conf: shared_preload_libraries = 'litellm_spend', then restart the server
  2. in the database:    CREATE EXTENSION litellm_spend;
TEXT
