"""What LiteLLM's reader needs of Prisma's client, on psycopg: the engine that Prisma downloads is not needed.

It runs the reader's SQL as it is, and translates the few calls that Prisma would turn into SQL. Runs in LiteLLM's
interpreter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.rows import dict_row

COMPARISONS = {"gte": ">= {}", "lte": "<= {}", "in": "= ANY({}::text[])"}


class Client:
    """Stands where LiteLLM has its PrismaClient."""

    def __init__(self, url: str) -> None:
        self.db = Engine(psycopg.connect(url, autocommit=True, row_factory=dict_row, cursor_factory=psycopg.RawCursor))


class Engine:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        tables = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ^@ 'LiteLLM_'")
        self._tables = {row["relname"].lower(): row["relname"] for row in tables}

    def __getattr__(self, name: str) -> Table:
        """`litellm_usertable` is "LiteLLM_UserTable"."""
        if name not in self._tables:
            raise AttributeError(name)
        return Table(self._connection, self._tables[name])

    async def query_raw(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self._connection.execute(query, values).fetchall()

    async def execute_raw(self, query: str, *values: Any) -> int:
        return self._connection.execute(query, values).rowcount

    @asynccontextmanager
    async def tx(self, **_: Any) -> AsyncIterator[Engine]:
        with self._connection.transaction():
            yield self


class Table:
    def __init__(self, connection: psycopg.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def count(self, *, where: Mapping[str, Any]) -> int:
        values: list[Any] = []
        query = f'SELECT count(*) FROM "{self._name}" WHERE {condition(where, values)}'
        return self._connection.execute(query, values).fetchone()["count"]

    async def find_many(
        self,
        *,
        where: Mapping[str, Any],
        skip: int = 0,
        take: int | None = None,
        order: Sequence[Mapping[str, str]] = (),
    ) -> list[SimpleNamespace]:
        values: list[Any] = []
        query = f'SELECT * FROM "{self._name}" WHERE {condition(where, values)}'
        if order:
            query += " ORDER BY " + ", ".join(f'"{name}" {how}' for part in order for name, how in part.items())
        query += f" OFFSET {skip}" + (f" LIMIT {take}" if take is not None else "")
        return [SimpleNamespace(**row) for row in self._connection.execute(query, values)]


def condition(where: Mapping[str, Any], values: list[Any]) -> str:
    """Prisma's filter as SQL; its values are appended to `values`, which are $1, $2, ..."""

    def parameter(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    parts = []
    for name, wanted in where.items():
        if name in ("AND", "OR"):
            parts.append("(" + f" {name} ".join(condition(each, values) for each in wanted) + ")")
        elif wanted is None:
            parts.append(f'"{name}" IS NULL')
        elif isinstance(wanted, Mapping):
            if "not" in wanted:
                parts.append(f"NOT ({condition({name: wanted['not']}, values)})")
            parts += [
                f'"{name}" {COMPARISONS[how].format(parameter(value))}' for how, value in wanted.items() if how != "not"
            ]
        else:
            parts.append(f'"{name}" = {parameter(wanted)}')
    return " AND ".join(parts) or "TRUE"
