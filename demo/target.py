"""The database that the demo fills: connect, create the extension and LiteLLM's tables, and say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from report import say

INSTALLED = "SELECT count(*) FROM pg_available_extensions WHERE name = 'litellm_spend'"
CREATED = "SELECT count(*) FROM pg_extension WHERE extname = 'litellm_spend'"


@contextmanager
def prepare(url: str) -> Iterator[tuple[psycopg.Connection, bool]]:
    """A connection to a database that is ready to record, and whether a worker folds in it."""
    with connect(url) as connection:
        create_extension(connection)
        try:
            create_tables(connection)
            [preloaded] = connection.execute("SELECT preloaded FROM litellm_spend.status").fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise SystemExit(
                f"error: {connection.info.user} may not run the demo, which creates LiteLLM's tables and reads "
                f"litellm_spend.status: {error.diag.message_primary}. Use the URL of a superuser."
            ) from None
        if not preloaded:
            say("this server does not preload the library, so the demo calls litellm_spend.fold_all() itself.")
            say("For a worker: shared_preload_libraries = 'litellm_spend' in postgresql.conf, and a restart")
        yield connection, preloaded


def connect(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise SystemExit(f"error: cannot connect to DATABASE_URL: {str(error).strip()}") from None
    except psycopg.ProgrammingError as error:
        raise SystemExit(
            f"error: DATABASE_URL is not a URL of libpq, which the demo itself needs: {str(error).strip()}. "
            "Prisma's own parameters (schema=, connection_limit=, ...) have to be left out."
        ) from None


def create_extension(connection: psycopg.Connection) -> None:
    where = f"database {connection.info.dbname} of {connection.info.host}"
    if connection.execute(CREATED).fetchone() == (1,):
        say(f"the extension is in {where} already")
        return
    if connection.execute(INSTALLED).fetchone() == (0,):
        raise SystemExit(
            f"error: the extension is not installed on the server of {where}. "
            "Run on that machine: make install PG_CONFIG=/path/to/its/pg_config"
        )
    say(f"CREATE EXTENSION litellm_spend in {where}")
    try:
        connection.execute("CREATE EXTENSION litellm_spend")
    except psycopg.errors.InsufficientPrivilege:
        user = conninfo_to_dict(connection.info.dsn).get("user", connection.info.user)
        raise SystemExit(f"error: {user} may not create the extension; a superuser of the server may.") from None


def create_tables(connection: psycopg.Connection) -> None:
    actions = Counter(
        action for (action,) in connection.execute("SELECT action FROM litellm_spend.create_tables()").fetchall()
    )
    told = ", ".join(f"{count} {action}" for action, count in sorted(actions.items()))
    say(f"SELECT * FROM litellm_spend.create_tables(): {told}")
