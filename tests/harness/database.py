"""One database of a cluster, as a test uses it: statements, records, and waiting for the fold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .cluster import Cluster
from .waiting import wait_for_value

Record = dict[str, Any]


class Database:
    """A database with a connection for statements (autocommit), opened at first use."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self._connection: psycopg.Connection | None = None
        self._connected_to = 0

    @property
    def url(self) -> str:
        return self.cluster.url(self.name)

    def connect(self, *, user: str = "postgres", autocommit: bool = True, **options: Any) -> psycopg.Connection:
        """A new connection, which the caller closes."""
        return self.cluster.connect(self.name, user=user, autocommit=autocommit, **options)

    def query(self, statement: str, *arguments: Any) -> list[tuple]:
        return self._session().execute(statement, arguments or None).fetchall()

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with self._session().cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, arguments or None).fetchall()

    def value(self, statement: str, *arguments: Any) -> Any:
        """The first column of the one row."""
        [(value, *_)] = self.query(statement, *arguments)
        return value

    def execute(self, statement: str, *arguments: Any) -> None:
        self._session().execute(statement, arguments or None)

    def record(self, payload: Record | list[Any], on_invalid: str = "error") -> int:
        """Call litellm_record_spend in a transaction of its own. Returns how many records were staged."""
        return self.value("SELECT litellm_record_spend(%s::jsonb, %s)", json.dumps(payload), on_invalid)

    def fold(self) -> int:
        return self.value("SELECT litellm_spend.fold()")

    def fold_all(self) -> None:
        self.execute("CALL litellm_spend.fold_all()")

    def flush(self, timeout: str = "30 s") -> bool:
        return self.value("SELECT litellm_spend.flush(%s::interval)", timeout)

    def wait_folded(self, timeout: str = "30 s") -> None:
        """Wait until all that is committed now is folded by the worker."""
        if not self.flush(timeout):
            status = self.status()
            raise AssertionError(
                f"not folded in {timeout}: worker {status['worker']}, {status['last_error']}; {status}"
            )

    @contextmanager
    def held_fold(self) -> Iterator[None]:
        """Hold the fold meanwhile: another session locks a target."""
        blocker = self.connect(autocommit=False)
        try:
            blocker.execute('LOCK TABLE "LiteLLM_SpendLogs" IN ACCESS EXCLUSIVE MODE')
            yield
        finally:
            blocker.close()

    @contextmanager
    def server_setting(self, name: str, value: str) -> Iterator[None]:
        """Change a setting of the whole server meanwhile.

        The block begins when no worker runs that started without the setting, because a running worker reads a reload
        only between two folds.
        """
        self.cluster.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.cluster.execute("SELECT pg_reload_conf()")
        try:
            self.wait_for(f"SELECT current_setting('{name}')", value)
            self.wait_for("SELECT worker_pid IS NULL FROM litellm_spend.status", True)
            yield
        finally:
            self.cluster.execute(f"ALTER SYSTEM RESET {name}")
            self.cluster.execute("SELECT pg_reload_conf()")

    def status(self) -> dict[str, Any]:
        [row] = self.rows("SELECT * FROM litellm_spend.status")
        return row

    def wait_for(self, statement: str, expected: Any, *, deadline: float = 30.0) -> None:
        """Poll until the statement's one value is `expected`."""
        wait_for_value(lambda: self.value(statement), expected, deadline=deadline, what=statement)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> psycopg.Connection:
        started = self.cluster.starts
        if self._connection is None or self._connection.closed or self._connected_to != started:
            self._connection = self.connect()
            self._connected_to = started
        return self._connection
