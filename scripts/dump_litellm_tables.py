"""Write sql/litellm_tables.sql from LiteLLM's own migrations (`make tables`).

The script applies the newest supported schema to a throwaway server, and pg_dump shows the tables. Run the script when
tests/harness/litellm_schema.py names a newer LiteLLM, or when the ground table gets another table.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.cluster import Cluster  # noqa: E402
from harness.litellm_schema import NEWEST, apply_migrations  # noqa: E402
from harness.postgres import bindir  # noqa: E402

OUTPUT = ROOT / "sql" / "litellm_tables.sql"
# Folds write or create all tables that the ground table names, except these two, which folds only read.
GROUND_TABLE = ROOT / "core" / "src" / "litellm" / "tables.rs"
ONLY_READ = {"LiteLLM_DeprecatedVerificationToken", "LiteLLM_SpendLogDelivery"}
HEADER = f"""\
-- Made by scripts/dump_litellm_tables.py: do not edit.
-- LiteLLM's own definitions (litellm-proxy-extras {NEWEST.extras}, all {NEWEST.migrations} migrations) of the tables
-- that folds write: columns, types, defaults, keys and indexes. Foreign keys to tables that are not here are
-- left to LiteLLM's migrations. `create_tables()` runs each part whose table is missing; a part begins with
-- a line "-- table NAME", and comes after the tables that it refers to.
"""
_SUBJECT = re.compile(r'(?:CREATE TABLE|ALTER TABLE ONLY|CREATE (?:UNIQUE )?INDEX .*? ON) "(\w+)"')
# Postgres 18 shows the name of a NOT NULL constraint if the name is not the default. Older majors have no such names.
_NOT_NULL_NAME = re.compile(r'CONSTRAINT "\w+" (?=NOT NULL)')
_REFERENCE = re.compile(r'REFERENCES "(\w+)"')


def tables() -> list[str]:
    """The tables that folds write or create, as the ground table of the Rust code lists them."""
    named = re.findall(r'"(LiteLLM_\w+)"', GROUND_TABLE.read_text().split("#[cfg(test)]")[0])
    return [table for table in named if table not in ONLY_READ]


def definitions(cluster: Cluster, database: str) -> str:
    """The text of the file, from a database of this cluster that has LiteLLM's schema."""
    parts: dict[str, list[str]] = {table: [] for table in tables()}
    refers_to: dict[str, list[str]] = {table: [] for table in parts}
    for statement in statements(dump(cluster, database, list(parts))):
        subject = _SUBJECT.match(statement)
        if subject is None:
            raise ValueError(f"this script cannot handle a statement about LiteLLM's tables: {statement}")
        referred = _REFERENCE.search(statement)
        if referred is None or referred[1] in parts:
            parts[subject[1]].append(statement)
            refers_to[subject[1]] += [referred[1]] if referred and referred[1] != subject[1] else []
    order = TopologicalSorter(refers_to).static_order()
    return HEADER + "".join(f"\n-- table {table}\n" + "\n".join(parts[table]) + "\n" for table in order)


def dump(cluster: Cluster, database: str, tables: list[str]) -> str:
    command = [bindir() / "pg_dump", "--schema-only", "--no-owner", "--no-privileges"]
    command += [f'--table="{table}"' for table in tables]
    return subprocess.run([*command, cluster.url(database)], check=True, stdout=subprocess.PIPE, text=True).stdout


def statements(dumped: str) -> Iterator[str]:
    """The statements of the dump, without session settings, comments and the schema's name."""
    kept = [line for line in dumped.splitlines() if not re.match(r"--|SET |SELECT pg_catalog|\\|$", line)]
    for statement in re.split(r"(?<=;)\n", "\n".join(kept)):
        yield _NOT_NULL_NAME.sub("", statement).replace("public.", "").rstrip()


def main() -> None:
    with Cluster({"shared_preload_libraries": ""}) as cluster:
        cluster.create_database("litellm")
        apply_migrations(cluster, "litellm", NEWEST.migration_files())
        OUTPUT.write_text(definitions(cluster, "litellm"))


if __name__ == "__main__":
    main()
