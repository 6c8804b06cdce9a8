"""Decides what happens to the records after a failed attempt to send, and what the user is told."""

from __future__ import annotations

from enum import Enum

from .dsn import UrlError


class SendTimeout(Exception):
    """The server did not answer a call in time. Whether it recorded the batch is not known."""


class Recovery(Enum):
    RETRY = "keep the batch and try again with backoff"
    SHRINK = "the server did not finish in time: send fewer records at once, and keep one that is too slow alone"
    SPLIT = "the batch holds a record that the server cannot accept: send its halves, to find that record"


GRANT = "GRANT litellm_spend_writer TO the role of the database URL"
CREATE = "run CREATE EXTENSION litellm_spend in that database, and keep its schema on the role's search_path"
_ADVICE = {
    "42501": f"the role may not record spend: {GRANT}",
    "42883": f"the database has no function litellm_record_spend: {CREATE}",
    "3F000": f"the schema of litellm_record_spend is missing: {CREATE}",
    "25006": "the server is read-only (a standby?): point the database URL at the primary",
    "28P01": "the server refuses the password: correct the database URL",
    "28000": "the server refuses the role: correct the database URL or pg_hba.conf",
    "57014": "the server cancelled the call: raise the role's statement_timeout or lower batch_size",
    "57P01": "the server closed the connection",
    "57P03": "the server is starting up or shutting down",
    "53300": "the server has no free connection: raise max_connections",
    "3D000": "the database of the database URL does not exist: create it or correct the URL",
}
# The SQLSTATE classes of a wrong value or size, which no retry fixes: data exception (also wrong JSON), program limit.
_DATA_CLASSES = ("22", "54")


def recovery_from(error: BaseException) -> Recovery:
    state = getattr(error, "sqlstate", None)
    if state == "57014":
        return Recovery.SHRINK
    return Recovery.SPLIT if isinstance(state, str) and state[:2] in _DATA_CLASSES else Recovery.RETRY


def is_permanent(error: BaseException) -> bool:
    """Whether no waiting fixes the error, because the configuration has to be corrected."""
    return isinstance(error, (UrlError, ImportError))


def explain(error: BaseException) -> str:
    """Explains an error in one sentence. It may hold a secret of the URL: pass it through Destination.redact."""
    if isinstance(error, UrlError):
        return str(error)
    if isinstance(error, ImportError):
        return "psycopg finds no libpq: run pip install 'litellm_spend[binary]', or install libpq"
    state = getattr(error, "sqlstate", None)
    if state in _ADVICE:
        return f"{_ADVICE[state]} (SQLSTATE {state})"
    if state:
        # A server's message may quote the record, but its code does not.
        return f"the server refused the call with SQLSTATE {state}"
    return " ".join(str(error).split()) or type(error).__name__
