"""Decides what happens to the records after a failed attempt to send, and what the user is told."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Final

from . import failed_connection
from .before_send import BeforeSendError
from .destination import Destination
from .url_parts import UrlError


class SendTimeout(Exception):
    """The server did not answer a call in time. Whether it recorded the batch is not known."""


class Recovery(Enum):
    RETRY = "keep the batch and try again with backoff"
    SHRINK = "the server did not finish in time: send fewer records at once, and keep one that is too slow alone"
    SPLIT = "the batch holds a record that the server cannot accept: send its halves, to find that record"


CREATE: Final = "run CREATE EXTENSION litellm_spend in that database"
LOCKS: Final = "SELECT pid, mode, relation::regclass FROM pg_locks WHERE relation::regclass::text ~ '^litellm_spend'"
# What a call of litellm_record_spend can raise that is not about a record. {grant} names the role.
_ADVICE: Final = {
    "08P01": "pgbouncer or the server broke the call off (query_wait_timeout?): look at pgbouncer's log, and raise its "
    "default_pool_size if all of its connections are in use",
    "25006": "the server is read-only (a standby?): point the database URL at the primary",
    "3F000": f"the schema of litellm_record_spend is missing: {CREATE}",
    "42501": "the role may not record spend: {grant}",
    "42883": f"the database has no function litellm_record_spend: {CREATE}",
    "53100": "the server's disk is full: make room there",
    "53200": "the server is out of memory: free memory there, or lower batch_size",
    "53300": "the server has no free connection: raise max_connections, or close connections",
    "55P03": "other sessions have locked litellm_spend.staging_0 to staging_2, or one table longer than the role's "
    f"lock_timeout allows: end the sessions that this query names: {LOCKS}",
    "57014": "the server cancelled the call: raise the role's statement_timeout or lower batch_size",
    "57P01": "the server closed the connection, because it shuts down or somebody ended the session: start it again if "
    "it does not come back",
    "57P02": "the server restarts after a crash: look at its log",
    "57P03": "the server is starting up or shutting down: wait until it is ready",
    "58P01": "the server does not find a file, such as the library litellm_spend: install it in the server again, and "
    "look at the server's log",
}
# The SQLSTATE classes of a wrong value or size, which no retry fixes: data exception (also wrong JSON), program limit.
_DATA_CLASSES: Final = ("22", "54")
_PERMANENT_STATES: Final = ("25006", "3F000", "42501", "42883")


def grant_to(role: str | None) -> str:
    """The statement that lets a role record spend."""
    name = failed_connection.identifier(role) if role else "the role of the database URL"
    return f"GRANT litellm_spend_writer TO {name}"


def recovery_from(error: BaseException) -> Recovery:
    state = getattr(error, "sqlstate", None)
    if state == "57014":
        return Recovery.SHRINK
    return Recovery.SPLIT if isinstance(state, str) and state[:2] in _DATA_CLASSES else Recovery.RETRY


def is_permanent(error: BaseException) -> bool:
    """Whether no waiting fixes the error, because the configuration has to be corrected.

    So: no URL, a URL that cannot be used, a psycopg without libpq, a before_send that cannot be loaded, a login that
    the server refuses (password, role, database, pg_hba.conf, certificates, settings), and a call that it refuses (no
    function, no schema, no grant, a read-only server). With several hosts, each of them must refuse.

    Everything else may pass by itself, though it may also be wrong for ever: a name that is not found and a host that
    refuses or does not answer (the network, or a server that is not up yet), a server that starts, stops or is full, a
    host that is no Postgres (a load balancer without a backend), locks, timeouts, a full disk, all of pgbouncer's
    troubles with its server, and what is not understood, such as a message in another language.
    """
    if isinstance(error, (UrlError, ImportError, BeforeSendError)):
        return True
    state = getattr(error, "sqlstate", None)
    if state:
        return state in _PERMANENT_STATES
    return _is_of_connecting(error) and failed_connection.is_permanent(str(error), _needs_password(error))


def explain(error: BaseException, destination: Destination | None = None) -> str:
    """Explains an error in one sentence, without a period and without a secret of the destination."""
    if isinstance(error, UrlError):
        return str(error)
    if isinstance(error, ImportError):
        return "psycopg finds no libpq: run pip install 'litellm_spend[binary]', or install libpq"
    if isinstance(error, SendTimeout):
        return (
            "the server did not answer a call within send_timeout, or before the process ended: if a session has "
            f"locked a table of the schema litellm_spend, end it ({LOCKS}); if not, look at the network and at the "
            "server's load"
        )
    state = getattr(error, "sqlstate", None)
    if state in _ADVICE:
        grant = grant_to(destination.role if destination else None)
        return f"{_ADVICE[state].replace('{grant}', grant)} (SQLSTATE {state})"
    if state:
        # A server's message may quote the record, but its code does not.
        return f"the server refused the call with SQLSTATE {state}: its log tells why"
    if _is_of_connecting(error):
        return failed_connection.explain(str(error), _needs_password(error), destination)
    text = destination.redact(str(error)) if destination else str(error)
    text = " ".join(text.split()).rstrip(" .") or type(error).__name__
    if _is_operational(error):
        return f"the connection broke during a call ({text}): look at the server's log and at the network"
    return text


def _is_of_connecting(error: BaseException) -> bool:
    return _is_operational(error) and failed_connection.is_one(str(error))


def _is_operational(error: BaseException) -> bool:
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.OperationalError)


def _needs_password(error: BaseException) -> bool:
    """Whether the server asked for a password and there was none, in every language."""
    return bool(getattr(getattr(error, "pgconn", None), "needs_password", False))
