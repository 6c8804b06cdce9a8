#!/usr/bin/env bash
# Write the files that are generated from other files. For maintainers. Usage: generate.sh FILE...
#   sql           sql/litellm_spend--VERSION.sql, from what the code declares, after a change of the declarations
#   check-sql     nothing; fails and shows the difference unless that file is what the code declares
#   tables        sql/litellm_tables.sql, from LiteLLM's migrations, after Cargo.toml names a newer schema
#   requirements  tests/requirements-*.txt, pinned with hashes, after a change of an .in file
source "$(dirname "$0")/lib.sh"

# declared_sql: sets `declared` to what `cargo pgrx schema` writes for a library without tests.
declared_sql() {
  require_rust
  "$SCRIPTS/tools.sh" packages crates cargo-pgrx
  choose_major
  pg_config=$("$SCRIPTS/postgres.sh" "$major")
  build_for "$major" "$pg_config"
  declared=$BUILD/declared.sql
  cd "$ROOT"
  run_logged "building the extension without tests" build-declared \
    cargo build --lib "$AS_FOR_TESTS" --locked --no-default-features --features "pg$major"
  run_logged "cargo pgrx schema" schema \
    "$CARGO_PGRX" pgrx schema "pg$major" --no-default-features --skip-build --out "$declared"
}

generate_tables() {
  "$SCRIPTS/tools.sh" tests migrations
  choose_major
  LITELLM_SPEND_PG_CONFIG=$("$SCRIPTS/postgres.sh" "$major") "$(environment tests)" "$SCRIPTS/dump_litellm_tables.py"
  step "sql/litellm_tables.sql is written"
}

generate_requirements() {
  local name python
  "$SCRIPTS/tools.sh" uv
  use_uv
  cd "$ROOT/tests"
  for name in uv tests "${LITELLM_VERSIONS[@]/#/litellm-}" "${LITELLM_PROXY_VERSIONS[@]/#/proxy-}" recipes "${PYTHON_VERSIONS[@]/#/python-}"; do
    python=3.11
    if [[ $name == python-* ]]; then python=${name#python-}; fi
    step "requirements-$name.txt"
    "$UV" pip compile --quiet --universal --python-version "$python" --generate-hashes --no-emit-index-url \
      --no-emit-find-links --override requirements-overrides.in --custom-compile-command scripts/generate.sh \
      "requirements-$name.in" -o "requirements-$name.txt"
  done
}

[ $# -gt 0 ] || die "say what to generate: sql, check-sql, tables or requirements."
for file in "$@"; do
  case $file in
    sql | check-sql)
      declared_sql
      "$PYTHON" "$SCRIPTS/install_sql.py" "$file" "$declared"
      ;;
    tables) generate_tables ;;
    requirements) generate_requirements ;;
    *) die "$file cannot be generated. Say sql, check-sql, tables or requirements." ;;
  esac
done
