"""Prisma's errors, which LiteLLM's code asks for by name when a statement fails. Runs in LiteLLM's interpreter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import psycopg

from .prisma import Engine

# Postgres raises these if it refuses the row itself. Prisma calls them a DataError.
ROW_IS_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


class PrismaError(Exception):
    code = None


class DataError(PrismaError):
    """The only one of Prisma's errors that is ever raised here."""


class Errors(ModuleType):
    """A module that has an error of any name."""

    PrismaError, DataError = PrismaError, DataError

    def __getattr__(self, name: str) -> type[PrismaError]:
        if not name.endswith("Error"):
            raise AttributeError(name)
        error = type(name, (PrismaError,), {})
        setattr(self, name, error)
        return error


def install() -> None:
    """Make `import prisma` find the errors: LiteLLM's proxy needs the package, the SDK does not."""
    errors, engine, prisma = Errors("prisma.errors"), ModuleType("prisma.engine"), ModuleType("prisma")
    prisma.errors, prisma.engine, engine.errors = errors, engine, errors
    for name, module in {"": prisma, ".errors": errors, ".engine": engine, ".engine.errors": errors}.items():
        sys.modules[f"prisma{name}"] = module


class ErringEngine(Engine):
    """An engine whose statements fail as Prisma's do."""

    async def run(self, query: str, values: Sequence[Any]) -> psycopg.AsyncCursor:
        try:
            return await super().run(query, values)
        except ROW_IS_REFUSED as error:
            raise DataError(str(error)) from error
