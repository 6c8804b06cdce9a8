"""The database of a command: which URL it takes, and statements that end within a bounded time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .._delivery import dsn
from .._delivery.connection import Connection
from .._delivery.destination import Destination
from .._delivery.errors import SendTimeout, explain
from .._delivery.url_parts import UrlError

OPTION = "--database-url"
# Where the callback finds its URL.
CALLBACKS_VARIABLES = ("LITELLM_SPEND_DATABASE_URL", "DATABASE_URL")
_CONNECT_SECONDS = 10.0


class Problem(Exception):
    """A sentence for the user that says what is wrong, where, and what to do. It holds no secret."""

    def __init__(self, sentence: str, sqlstate: str | None = None) -> None:
        super().__init__(sentence)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class Url:
    """A database URL and the place that it comes from."""

    value: str = field(repr=False)
    source: str

    @classmethod
    def find(cls, option: str | None, variables: Sequence[str]) -> Url:
        """The URL of the option, else of the first variable that is set; raises Problem if there is none."""
        if option and option.strip():
            return cls(option, OPTION)
        for name in variables:
            if os.environ.get(name, "").strip():
                return cls(os.environ[name], name)
        raise Problem(f"there is none: set {' or '.join(variables)}, or pass {OPTION}")

    def destination(self) -> Destination:
        """The URL as libpq takes it; raises Problem."""
        try:
            return dsn.resolve(self.value)
        except (UrlError, ImportError) as error:
            raise Problem(explain(error)) from None


def shown(destination: Destination) -> str:
    """The role, the hosts and the name of the database, without the password."""
    if destination.hides_names or not destination.places:
        return "a URL whose names are not shown, because one may be a piece of the password"
    role = f"{destination.role}@" if destination.role else ""
    return f"{role}{','.join(destination.places)}/{destination.database or destination.role or ''}"


class Server:
    """A connection of a command. Each statement ends after `seconds`, also if the server hangs."""

    def __init__(self, url: Url, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._connection = Connection(url.value)

    def connect(self) -> None:
        """Opens the connection; raises Problem."""
        self.value("SELECT 1", seconds=_CONNECT_SECONDS)

    def row(self, query: str, *parameters: str) -> dict[str, Any]:
        """The one row of a query, by the names of its columns; raises Problem."""
        [row] = self.rows(query, *parameters)
        return row

    def rows(self, query: str, *parameters: str) -> list[dict[str, Any]]:
        """The rows of a query. Numbers with a fraction come as Decimal."""
        wrapped = f"SELECT coalesce(pg_catalog.json_agg(one_row), '[]') FROM ({query}) AS one_row"
        rows: list[dict[str, Any]] = json.loads(self.value(wrapped, *parameters) or "[]", parse_float=Decimal)
        return rows

    def value(self, statement: str, *parameters: str, seconds: float | None = None) -> str | None:
        """The first value of a statement, as text; raises Problem."""
        allowed = self._seconds if seconds is None else seconds
        deadline = time.monotonic() + allowed
        try:
            value = self._connection.ask(statement.encode(), lambda: deadline, *(text.encode() for text in parameters))
        except SendTimeout:
            self.close()
            raise Problem(f"the server did not answer within {allowed:g} s: look whether it is overloaded") from None
        except Exception as error:
            raise Problem(self._connection.explain(error), getattr(error, "sqlstate", None)) from None
        return None if value is None else value.decode()

    def close(self) -> None:
        self._connection.close()


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
