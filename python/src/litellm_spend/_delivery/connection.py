"""The one connection of a logger: it connects, records a batch in one call and closes. One thread at a time uses it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from . import dsn
from .errors import explain, grant_to
from .extension import HOME
from .fork_lock import ForkLock
from .libpq import connection_class, execute

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("litellm_spend")

_HOME: Final = f"SELECT name FROM {HOME} AS home".encode()
_RECORD_BATCH: Final = b"SELECT %s.litellm_record_spend($1::pg_catalog.jsonb, 'reject')"
# libpq raises a shorter connect_timeout to this.
SHORTEST_CONNECT_SECONDS: Final = 2
_TARGET_SCHEMA: Final = b"SELECT current_setting('litellm_spend.target_schema', true)"
# How long the server remembers that it counted a request, in seconds; NULL: as long as its log row is there.
# A partitioned log has no unique index on the request's id, so the ledger remembers instead.
_MEMORY: Final = b"""
SELECT extract(epoch FROM coalesce(pg_catalog.current_setting('litellm_spend.dedupe_window', true), '7 days')::interval)
WHERE NOT pg_catalog.current_setting('litellm_spend.write_spend_logs', true)::boolean
   OR EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = pg_catalog.current_setting('litellm_spend.target_schema', true)
                AND c.relname = 'LiteLLM_SpendLogs' AND c.relkind = 'p')
"""
# How long a fork waits for a call into libpq. Only the resolver makes such a call wait for the network.
_FORK_SECONDS: Final = 1.0


class Connection:
    """`send_timeout`: the most seconds that one call to the server may take."""

    def __init__(self, url: str | None, send_timeout: float = 30.0) -> None:
        # Imported here and not by the sender's thread: a child that is forked during an import can never finish it.
        with contextlib.suppress(ImportError):  # told by `check`
            import psycopg
            import psycopg.conninfo  # noqa: F401

        self._library = ForkLock(_FORK_SECONDS)
        self._url = url
        self.send_timeout = send_timeout
        self._destination: dsn.Destination | None = None
        self._connection: psycopg.Connection | None = None
        self._home: bytes | None = None
        """The extension's schema, quoted, once this connection has asked for it."""
        self._logged_destination = False
        self._compared_schema = False

    def record(self, batch: list[str], deadline: Callable[[], float]) -> int:
        """Commits a batch of encoded records in one call, and returns how many the server staged (not rejected).

        Gives up at `deadline()` (monotonic), which may become earlier meanwhile, and then raises SendTimeout.
        """
        self._connect(deadline)
        if self._home is None:
            self._home = self._value(_HOME, deadline)
        if self._home is None:
            from psycopg.errors import UndefinedFunction

            raise UndefinedFunction
        staged = self._value(_RECORD_BATCH % self._home, deadline, ("[" + ",".join(batch) + "]").encode())
        self._compare_schema(deadline)
        return int(staged or 0)

    def memory_seconds(self, deadline: Callable[[], float]) -> float | None:
        """How long the server remembers a request that it counted; None if its log remembers all of them."""
        seconds = self.ask(_MEMORY, deadline)
        return None if seconds is None else float(seconds)

    def ask(self, statement: bytes, deadline: Callable[[], float], *parameters: bytes) -> bytes | None:
        """The first value of any statement, as text; None if there is none. Gives up at `deadline()` like `record`."""
        self._connect(deadline)
        return self._value(statement, deadline, *parameters)

    def check(self) -> None:
        """Raises UrlError or ImportError if no connection can ever be opened. Does not connect."""
        import psycopg  # noqa: F401

        self._resolve()

    def destination(self) -> str:
        """The database's name for people and for comparisons: host, port and name. Empty if the URL cannot be read."""
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.pq import Conninfo

        try:
            of_url = conninfo_to_dict(self._resolve().conninfo)
            # libpq's own variables, such as PGDATABASE.
            defaults = {
                option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val
            }
        except Exception:
            return ""
        options = {**defaults, **{name: str(value) for name, value in of_url.items()}}
        host = ",".join(filter(None, (options.get("host"), options.get("hostaddr")))) or "local"
        name = f"{host}:{options.get('port')}/{options.get('dbname') or options.get('user')}"
        if service := options.get("service"):
            name += f" (service {service})"
        if self._destination is not None and self._destination.hides_names:
            return f"a database whose name is not shown ({hashlib.sha256(name.encode()).hexdigest()[:12]})"
        return name

    def explain(self, error: BaseException) -> str:
        """Explains an error in one sentence, without a secret."""
        return explain(error, self._destination)

    def grant(self) -> str:
        """The statement that lets the role of the URL record spend."""
        return grant_to(self._destination.role if self._destination else None)

    def open(self, deadline: float | None = None) -> psycopg.Connection:
        """Opens a new autocommitting connection. Raises UrlError, ImportError or psycopg.Error."""
        from psycopg.conninfo import conninfo_to_dict

        destination = self._resolve()
        limits: dict[str, Any] = {}
        if deadline is not None:
            # If there are several hosts, libpq waits this long for each.
            seconds = max(SHORTEST_CONNECT_SECONDS, int((deadline - time.monotonic()) / destination.hosts))
            of_url = int(conninfo_to_dict(destination.conninfo).get("connect_timeout") or 0)
            limits["connect_timeout"] = min(seconds, of_url) if of_url > 0 else seconds
        # No prepared statements, because behind pgbouncer the next call may reach another session.
        with_lock = connection_class(self._library)
        return with_lock.connect(destination.conninfo, autocommit=True, prepare_threshold=None, **limits)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._library:
                connection.close()

    def before_fork(self) -> None:
        """Waits until no thread is inside libpq or OpenSSL, and keeps all out until the fork is over."""
        self._library.before_fork()

    def after_fork_in_parent(self) -> None:
        self._library.after_fork_in_parent()

    def copy_for_child(self) -> Connection:
        """A connection for a forked child. The parent's is forgotten, and nothing is sent on its socket."""
        self._connection = None
        return Connection(self._url, self.send_timeout)

    @property
    def schema(self) -> str | None:
        return self._destination.schema if self._destination else None

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def _connect(self, deadline: Callable[[], float]) -> None:
        if not self.is_open:
            self._connection = self.open(deadline())
            self._home = None

    def _value(self, statement: bytes, deadline: Callable[[], float], *parameters: bytes) -> bytes | None:
        """The first value of the first row, as text; None if it is NULL or there is no row."""
        assert self._connection is not None
        result = execute(self._connection.pgconn, statement, parameters, deadline, self._library)
        return result.get_value(0, 0) if result.ntuples else None

    def _resolve(self) -> dsn.Destination:
        if self._destination is None:
            self._destination = dsn.resolve(self._url)
        if not self._logged_destination:
            self._logged_destination = True
            _log_changes(self._destination)
        return self._destination

    def _compare_schema(self, deadline: Callable[[], float]) -> None:
        """Compares the schemas after the first record. Until then the server may not have loaded the library."""
        if self._compared_schema or not self.schema:
            return
        self._compared_schema = True
        actual = self._value(_TARGET_SCHEMA, deadline)
        if difference := schema_difference(self.schema, actual.decode() if actual else None):
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
