"""What LiteLLM needs of Prisma's client, on psycopg: the engine that Prisma downloads is not needed.

It runs LiteLLM's SQL as it is, and translates the few calls that Prisma would turn into SQL. Runs in LiteLLM's
interpreter, by programs that find it in this folder.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import psycopg
from psycopg.rows import dict_row

COMPARISONS = {"gte": ">= {}", "lte": "<= {}", "in": "= ANY({}::text[])"}
COLUMNS = """SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
    WHERE table_schema = current_schema AND table_name LIKE 'LiteLLM\\_%' GROUP BY table_name"""


# What Postgres refuses in a row itself, which Prisma calls a DataError.
ROW_IS_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


class PrismaError(Exception):
    code = None


class DataError(PrismaError):
    """Raised as Prisma raises it."""


class PrismaErrors(ModuleType):
    """Prisma's errors by name. LiteLLM asks of what kind an error is, and only a DataError is ever raised here."""

    PrismaError, DataError = PrismaError, DataError

    def __getattr__(self, name: str) -> type[Exception]:
        if not name.endswith("Error"):
            raise AttributeError(name)
        error = type(name, (PrismaError,), {})
        setattr(self, name, error)
        return error


def stand_for_prisma() -> None:
    """Makes `import prisma` find the errors, where LiteLLM looks for them."""
    errors, engine, prisma = PrismaErrors("prisma.errors"), ModuleType("prisma.engine"), ModuleType("prisma")
    prisma.errors, prisma.engine, engine.errors = errors, engine, errors
    for name, module in {"": prisma, ".errors": errors, ".engine": engine, ".engine.errors": errors}.items():
        sys.modules[f"prisma{name}"] = module


@contextmanager
def prisma_errors() -> Iterator[None]:
    try:
        yield
    except ROW_IS_REFUSED as error:
        raise DataError(str(error)) from error


class Client:
    """Stands where LiteLLM has its PrismaClient."""

    def __init__(self, url: str) -> None:
        self.db = Engine(psycopg.connect(url, autocommit=True, row_factory=dict_row, cursor_factory=psycopg.RawCursor))


class Engine:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        found = connection.execute(COLUMNS).fetchall()
        tables = [Table(connection, row["table_name"], row["columns"]) for row in found]
        self._tables = {table.name.lower(): table for table in tables}

    def __getattr__(self, name: str) -> Table:
        """`litellm_usertable` is "LiteLLM_UserTable"."""
        if name not in self._tables:
            raise AttributeError(name)
        return self._tables[name]

    async def query_raw(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with prisma_errors():
            return self._connection.execute(query, parameters(values)).fetchall()

    async def execute_raw(self, query: str, *values: Any) -> int:
        with prisma_errors():
            return self._connection.execute(query, parameters(values)).rowcount

    @asynccontextmanager
    async def tx(self, **_: Any) -> AsyncIterator[Engine]:
        with self._connection.transaction():
            yield self

    @asynccontextmanager
    async def batch_(self) -> AsyncIterator[Batch]:
        """Runs what was asked for when it ends, in order."""
        batch = Batch(self._tables)
        yield batch
        with prisma_errors():
            for query, values in batch.statements:
                self._connection.execute(query, values)


class Table:
    def __init__(self, connection: psycopg.Connection, name: str, columns: Sequence[str]) -> None:
        self._connection = connection
        self.name = name
        self.columns = columns

    async def count(self, *, where: Mapping[str, Any]) -> int:
        values: list[Any] = []
        query = f'SELECT count(*) FROM "{self.name}" WHERE {condition(where, values)}'
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
        query = f'SELECT * FROM "{self.name}" WHERE {condition(where, values)}'
        if order:
            query += " ORDER BY " + ", ".join(f'"{name}" {how}' for part in order for name, how in part.items())
        query += f" OFFSET {skip}" + (f" LIMIT {take}" if take is not None else "")
        return [SimpleNamespace(**row) for row in self._connection.execute(query, values)]


class Batch:
    """Statements that Prisma would send together."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self.statements: list[tuple[str, list[Any]]] = []

    def __getattr__(self, name: str) -> BatchTable:
        if name not in self._tables:
            raise AttributeError(name)
        return BatchTable(self._tables[name], self.statements)

    def execute_raw(self, query: str, *values: Any) -> None:
        self.statements.append((query, parameters(values)))


class BatchTable:
    def __init__(self, table: Table, statements: list[tuple[str, list[Any]]]) -> None:
        self._table = table
        self._statements = statements

    def update_many(self, *, where: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        values: list[Any] = []
        changes = assignments(self._table, data, values)
        query = f'UPDATE "{self._table.name}" SET {changes} WHERE {condition(where, values)}'
        self._statements.append((query, values))

    def upsert(self, *, where: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> None:
        """`where` names the columns of one unique index, those of several within a member of its own."""
        key = next((value for value in where.values() if isinstance(value, Mapping)), where)
        created = dict(data["create"])
        values = list(created.values())
        columns = ", ".join(f'"{name}"' for name in created)
        given = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        # Prisma fills in what its schema marks as @updatedAt, which has no default in the database.
        if "updated_at" in self._table.columns:
            columns, given = columns + ', "updated_at"', given + ", now()"
        target = ", ".join(f'"{name}"' for name in key)
        changes = assignments(self._table, data["update"], values)
        query = f'INSERT INTO "{self._table.name}" ({columns}) VALUES ({given}) ON CONFLICT ({target}) DO UPDATE SET '
        self._statements.append((query + changes, values))


def assignments(table: Table, data: Mapping[str, Any], values: list[Any]) -> str:
    """Prisma's changes as SQL; their values are appended to `values`."""
    parts = []
    for name, value in data.items():
        increment = isinstance(value, Mapping)
        values.append(value["increment"] if increment else value)
        parts.append(f'"{name}" = ' + (f'"{table.name}"."{name}" + ' if increment else "") + f"${len(values)}")
    return ", ".join(parts)


def parameters(values: Sequence[Any]) -> list[Any]:
    """An array is a list for psycopg."""
    return [list(value) if isinstance(value, tuple) else value for value in values]


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
