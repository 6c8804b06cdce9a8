"""The one connection of a logger: it connects, records a batch in one call and closes. One thread at a time uses it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from . import dsn

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("litellm_spend")

_RECORD_BATCH = "SELECT litellm_record_spend(%s::jsonb, 'reject')"
# libpq raises a shorter connect_timeout to this.
SHORTEST_CONNECT_SECONDS = 2
_TARGET_SCHEMA = "SELECT current_setting('litellm_spend.target_schema', true)"


class Connection:
    def __init__(self, url: str | None) -> None:
        self._url = url
        self._destination: dsn.Destination | None = None
        self._connection: psycopg.Connection | None = None
        self._logged_destination = False
        self._compared_schema = False

    def record(self, batch: list[str], deadline: float | None = None) -> int:
        """Commits a batch of encoded records in one call, and returns how many the server staged (not rejected).

        Gives up connecting at `deadline` (monotonic).
        """
        row = self._connected(deadline).execute(_RECORD_BATCH, ("[" + ",".join(batch) + "]",)).fetchone()
        self._compare_schema()
        return int(row[0]) if row and row[0] is not None else 0

    def redact(self, text: str) -> str:
        return self._destination.redact(text) if self._destination else text

    def open(self, deadline: float | None = None) -> psycopg.Connection:
        """Opens a new autocommitting connection. Raises UrlError, ImportError or psycopg.Error."""
        import psycopg

        destination = self._resolve()
        limits = {}
        if deadline is not None:
            # If there are several hosts, libpq waits this long for each.
            seconds = (deadline - time.monotonic()) / destination.hosts
            limits["connect_timeout"] = max(SHORTEST_CONNECT_SECONDS, int(seconds))
        # No prepared statements, because behind pgbouncer the next call may reach another session.
        return psycopg.connect(destination.conninfo, autocommit=True, prepare_threshold=None, **limits)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """After a fork: forgets the parent's connection and sends nothing on its socket."""
        self._connection = None

    @property
    def schema(self) -> str | None:
        return self._destination.schema if self._destination else None

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def _connected(self, deadline: float | None) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self.open(deadline)
        return self._connection

    def _resolve(self) -> dsn.Destination:
        if self._destination is None:
            self._destination = dsn.resolve(self._url)
        if not self._logged_destination:
            self._logged_destination = True
            _log_changes(self._destination)
        return self._destination

    def _compare_schema(self) -> None:
        """Compares the schemas after the first record. Until then the server may not have loaded the library."""
        if self._compared_schema or not self.schema or self._connection is None:
            return
        self._compared_schema = True
        row = self._connection.execute(_TARGET_SCHEMA).fetchone()
        if difference := schema_difference(self.schema, row[0] if row else None):
            log.warning("%s", difference)


def _log_changes(destination: dsn.Destination) -> None:
    if destination.changes:
        log.info("database URL: %s", "; ".join(destination.changes))
    if destination.unknown:
        log.warning(
            "the database URL has parameters that libpq does not know, so they are ignored: %s. Correct or remove them",
            ", ".join(destination.unknown),
        )


def schema_difference(wanted: str | None, actual: str | None) -> str | None:
    """A sentence for a user whose URL names another schema than the one that the server writes to; else None."""
    if not wanted or actual is None or wanted == actual:
        return None
    return (
        f"the database URL says schema={wanted}, but the server folds spend into schema {actual}: "
        f"set litellm_spend.target_schema = '{wanted}' in the server, or correct the URL"
    )
