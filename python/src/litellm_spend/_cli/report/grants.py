"""Whether the role may read the tables of the report, and the GRANT to run if not."""

from __future__ import annotations

from collections.abc import Sequence

from ..database import Problem, Server, quoted

_TABLES = """
SELECT c.relname::text AS name, current_user::text AS role, has_schema_privilege(n.oid, 'USAGE') AS enters,
       has_table_privilege(c.oid, 'SELECT') AS reads, row_security_active(c.oid) AS filtered,
       me.rolsuper AND NOT owner.rolsuper AS trusts_owner, owner.rolname::text AS owner
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS owner ON owner.oid = c.relowner
JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname = ANY (string_to_array($2, ','))
ORDER BY c.relname
"""


def qualified(schema: str, table: str) -> str:
    """A table's name with its schema, for SQL."""
    return f"{quoted(schema)}.{quoted(table)}"


def check(server: Server, schema: str, tables: Sequence[str]) -> list[str]:
    """Raises Problem unless each table is there and the role may read it. Returns notes on what limits the rows."""
    wanted = list(dict.fromkeys(tables))
    found = server.rows(_TABLES, schema, ",".join(wanted))
    missing = [table for table in wanted if table not in [row["name"] for row in found]]
    if missing:
        raise Problem(
            f"schema {schema} has no {', '.join(missing)}: name LiteLLM's database in the URL, "
            "or set litellm_spend.target_schema to the schema of its tables"
        )
    role = found[0]["role"]
    # What the owner of a table put beside it, such as the condition of an index, runs with the reader's rights.
    for row in found:
        if row["trusts_owner"]:
            raise Problem(
                f"role {role} is a superuser, and {qualified(schema, row['name'])} belongs to role {row['owner']}, "
                f"which is none: name role {row['owner']} or another role that may read the table in the URL"
            )
    needed = []
    if not found[0]["enters"]:
        needed.append(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)};")
    if refused := [qualified(schema, row["name"]) for row in found if not row["reads"]]:
        needed.append(f"GRANT SELECT ON {', '.join(refused)} TO {quoted(role)};")
    if needed:
        raise Problem(f"role {role} may not read LiteLLM's daily tables. Let their owner run: {' '.join(needed)}")
    if any(row["filtered"] for row in found):
        return [f"Row security limits which rows role {role} sees: the numbers may be too low."]
    return []
