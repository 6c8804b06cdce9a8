"""The part of Prisma's client that LiteLLM's code needs, on psycopg, without the engine that Prisma downloads.

It runs LiteLLM's SQL as it is, and translates the few calls that Prisma would turn into SQL. LiteLLM's code decides
which statements are sent and in which order. Runs in LiteLLM's interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

COMPARISONS = {"gte": ">= {}", "lte": "<= {}", "in": "= ANY({}::text[])"}
COLUMNS = """SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND c.relname ^@ 'LiteLLM_' AND a.attnum > 0 AND NOT a.attisdropped"""


class Engine:
    """Stands in for Prisma's own client: sends statements over one connection."""

    def __init__(self, connection: psycopg.AsyncConnection, columns: Mapping[str, set[str]]) -> None:
        self.connection = connection
        self.errors: Counter[str] = Counter()
        """How many statements failed, by SQLSTATE."""
        self._columns = columns
        self._tables = {name.lower(): name for name in columns}

    def __getattr__(self, name: str) -> Table:
        """`litellm_usertable` is "LiteLLM_UserTable"."""
        if name not in self._tables:
            raise AttributeError(name)
        table = self._tables[name]
        return Table(self, table, self._columns[table])

    async def run(self, query: str, values: Sequence[Any]) -> psycopg.AsyncCursor:
        try:
            return await self.connection.execute(query, as_lists(values))
        except psycopg.Error as error:
            self.errors[error.sqlstate or type(error).__name__] += 1
            raise

    async def query_raw(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return await (await self.run(query, values)).fetchall()

    async def execute_raw(self, query: str, *values: Any) -> int:
        return (await self.run(query, values)).rowcount

    @asynccontextmanager
    async def tx(self, **_: Any) -> AsyncIterator[Engine]:
        """A transaction, or a part of the one that is open."""
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            async with self.connection.transaction():
                yield self
        else:
            yield self

    @asynccontextmanager
    async def batch_(self) -> AsyncIterator[Batch]:
        batch = Batch(self)
        yield batch
        async with self.tx():
            await batch.run()


class Client:
    """Stands in for LiteLLM's PrismaClient."""

    engine = Engine

    def __init__(self, db: Engine) -> None:
        self.db = self.writer_db = db

    @classmethod
    async def connect(cls, url: str) -> Client:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, row_factory=dict_row, cursor_factory=psycopg.AsyncRawCursor
        )
        # Prisma reads a time without offset as UTC.
        await connection.execute("SET TimeZone = 'UTC'")
        columns: dict[str, set[str]] = {}
        async for row in await connection.execute(COLUMNS):
            columns.setdefault(row["relname"], set()).add(row["attname"])
        return cls(cls.engine(connection, columns))

    def tx(self, **options: Any) -> Any:
        return self.db.tx(**options)


class Batch:
    """Statements that are run one after the other when LiteLLM has named them all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements: list[Callable[[], Awaitable[Any]]] = []

    def __getattr__(self, name: str) -> SimpleNamespace:
        table: Table = getattr(self._engine, name)

        def later(write: Callable[..., Awaitable[Any]]) -> Callable[..., None]:
            return lambda **arguments: self._statements.append(lambda: write(**arguments))

        return SimpleNamespace(update_many=later(table.update_many), upsert=later(table.upsert))

    def execute_raw(self, query: str, *values: Any) -> None:
        self._statements.append(lambda: self._engine.run(query, values))

    async def run(self) -> None:
        for statement in self._statements:
            await statement()


class Table:
    def __init__(self, engine: Engine, name: str, columns: set[str]) -> None:
        self._engine = engine
        self._name = name
        # Prisma sets it with every write.
        self._stamp = ["updated_at"] if "updated_at" in columns else []

    async def count(self, *, where: Mapping[str, Any]) -> int:
        values: list[Any] = []
        query = f'SELECT count(*) FROM "{self._name}" WHERE {condition(where, values)}'
        [row] = await self._engine.query_raw(query, *values)
        return row["count"]

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
        return [SimpleNamespace(**row) for row in await self._engine.query_raw(query, *values)]

    async def update_many(self, *, where: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        values: list[Any] = []
        query = f'UPDATE "{self._name}" AS t SET {self._assignments(data, values)}'
        await self._engine.run(f"{query} WHERE {condition(where, values)}", values)

    async def upsert(self, *, where: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Send the statement that Prisma sends for an upsert by one unique key."""
        created = data["create"]
        values = list(created.values())
        columns = [*created, *self._stamp]
        new = [f"${number}" for number in range(1, len(values) + 1)] + ["now() AT TIME ZONE 'UTC'"] * len(self._stamp)
        # The key of several columns has one name for all of them.
        key = next((list(value) for value in where.values() if isinstance(value, Mapping)), list(where))
        query = f'INSERT INTO "{self._name}" AS t ({quoted(columns)}) VALUES ({", ".join(new)})'
        query += f" ON CONFLICT ({quoted(key)}) DO UPDATE SET {self._assignments(data['update'], values)}"
        await self._engine.run(query, values)

    def _assignments(self, data: Mapping[str, Any], values: list[Any]) -> str:
        parts = [f"{name} = now() AT TIME ZONE 'UTC'" for name in self._stamp]
        for name, value in data.items():
            is_sum = isinstance(value, Mapping)
            values.append(value["increment"] if is_sum else value)
            parts.append(f'"{name}" = ' + (f't."{name}" + ' if is_sum else "") + f"${len(values)}")
        return ", ".join(parts)


def as_lists(values: Sequence[Any]) -> list[Any]:
    """Turn tuples into lists. Prisma takes a tuple as an array, but psycopg takes it as a row."""
    return [list(value) if isinstance(value, tuple) else value for value in values]


def quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def condition(where: Mapping[str, Any], values: list[Any]) -> str:
    """Prisma's filter as SQL. Its values are appended to `values`, which are $1, $2, ..."""

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
