"""What LiteLLM's writers use of Prisma's client, over one connection: they decide which statements are sent and in
which order, and this sends them as Prisma does."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager

import psycopg

TABLES = [
    "LiteLLM_OrganizationTable",
    "LiteLLM_OrganizationMembership",
    "LiteLLM_TeamTable",
    "LiteLLM_UserTable",
    "LiteLLM_EndUserTable",
    "LiteLLM_TeamMembership",
    "LiteLLM_VerificationToken",
    "LiteLLM_ProjectTable",
    "LiteLLM_TagTable",
    "LiteLLM_ModelAccessGroupBudgetTable",
    "LiteLLM_AgentsTable",
    "LiteLLM_DailyModelUsage",
]
NAMES = {table.lower(): table for table in TABLES}


class Client:
    """What LiteLLM uses of Prisma's client, over one connection."""

    def __init__(self, connection: psycopg.AsyncConnection, in_one: bool) -> None:
        self.connection = connection
        self.db = self
        self.in_one = in_one
        """Whether all its transactions are a part of one."""
        self.errors: Counter[str] = Counter()

    @asynccontextmanager
    async def tx(self, **_: object):
        if self.in_one:
            yield self
            return
        async with self.connection.transaction():
            yield self

    @asynccontextmanager
    async def batch_(self):
        batch = Batch()
        yield batch
        if self.in_one:
            await self._send(batch)
        else:
            async with self.connection.transaction():
                await self._send(batch)

    async def _send(self, batch: Batch) -> None:
        for statement, arguments in batch.statements:
            await self.execute_raw(statement, *arguments)

    async def execute_raw(self, query: str, *arguments: object) -> int:
        return (await self._execute(query, arguments)).rowcount

    async def query_raw(self, query: str, *arguments: object) -> list[dict[str, object]]:
        cursor = await self._execute(query, arguments)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def _execute(self, query: str, arguments: tuple[object, ...]) -> psycopg.AsyncCursor:
        cursor = psycopg.AsyncRawCursor(self.connection)
        try:
            return await cursor.execute(query, [list(it) if isinstance(it, tuple) else it for it in arguments])
        except psycopg.Error as error:
            self.errors[error.sqlstate or type(error).__name__] += 1
            raise


class Batch:
    """Statements that are sent one after the other when the batch ends."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, tuple[object, ...]]] = []

    def execute_raw(self, query: str, *arguments: object) -> None:
        self.statements.append((query, arguments))

    def __getattr__(self, accessor: str) -> Table:
        return Table(NAMES[accessor], self.statements)


class Table:
    """One of Prisma's tables in a batch, which issues the statements that Prisma does."""

    def __init__(self, name: str, statements: list) -> None:
        self.name = name
        self.statements = statements

    def update_many(self, *, where: dict, data: dict) -> None:
        values: list[object] = []
        changes = ", ".join(self._change(column, value, values) for column, value in data.items())
        condition = " AND ".join(f'"{column}" = {_parameter(value, values)}' for column, value in where.items())
        self.statements.append((f'UPDATE "{self.name}" AS t SET {changes} WHERE {condition}', tuple(values)))

    def upsert(self, *, where: dict, data: dict) -> None:
        [(name, key)] = where.items()
        columns = list(key) if isinstance(key, dict) else [name]
        values: list[object] = []
        made = data["create"]
        parameters = ", ".join(_parameter(value, values) for value in made.values())
        changes = ", ".join(self._change(column, value, values) for column, value in data["update"].items())
        if self.name == "LiteLLM_DailyModelUsage":
            made = {**made, "updated_at": None}
            parameters += ", now()"
        self.statements.append(
            (
                f'INSERT INTO "{self.name}" AS t ({", ".join(made)}) VALUES ({parameters})'
                f" ON CONFLICT ({', '.join(columns)}) DO UPDATE SET {changes}",
                tuple(values),
            )
        )

    @staticmethod
    def _change(column: str, value: object, values: list) -> str:
        if isinstance(value, dict):
            return f'"{column}" = t."{column}" + {_parameter(value["increment"], values)}'
        return f'"{column}" = {_parameter(value, values)}'


def _parameter(value: object, values: list) -> str:
    values.append(value)
    return f"${len(values)}"
