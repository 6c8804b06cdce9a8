"""The definition of tables in the catalogue, in a form in which two databases can be compared."""

from __future__ import annotations

from .database import Database

# Names in definitions are not qualified, because the schema is on the search path.
_COLUMNS = """
    SELECT c.relname, 'column ' || quote_ident(a.attname),
           format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid, true), '')
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p')"""
_INDEXES = """
    SELECT c.relname, 'index ' || x.relname,
           CASE WHEN i.indisvalid THEN '' ELSE 'INVALID ' END || pg_get_indexdef(i.indexrelid, 0, true)
      FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
     WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p')"""
# From Postgres 18 on NOT NULL is a constraint with a name. The columns already show it.
_CONSTRAINTS = """
    SELECT c.relname, 'constraint ' || k.conname, pg_get_constraintdef(k.oid, true)
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
     WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p') AND k.contype <> 'n'"""
_TRIGGERS = """
    SELECT c.relname, 'trigger ' || t.tgname, pg_get_triggerdef(t.oid, true)
      FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
     WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal"""

# The parts of a table: `column spend` -> `double precision NOT NULL DEFAULT 0.0`, `index x` -> its definition.
Table = dict[str, str]


def tables_of(database: Database, schema: str = "public") -> dict[str, Table]:
    """Every table of the schema. The order of columns is left out, because it depends on a table's history."""
    tables: dict[str, Table] = {}
    with database.connect() as connection:
        connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", (schema,))
        for statement in (_COLUMNS, _INDEXES, _CONSTRAINTS, _TRIGGERS):
            for table, part, definition in connection.execute(statement, {"schema": f'"{schema}"'}):
                tables.setdefault(table, {})[part] = definition
    return tables


def differences(expected: dict[str, Table], actual: dict[str, Table]) -> list[str]:
    """A line for each part of a table that one side lacks or defines differently."""
    lines = []
    for table in sorted(expected.keys() | actual.keys()):
        wanted, found = expected.get(table, {}), actual.get(table, {})
        for part in sorted(wanted.keys() | found.keys()):
            if wanted.get(part) != found.get(part):
                lines.append(f"{table}, {part}: expected {wanted.get(part)}, found {found.get(part)}")
    return lines
