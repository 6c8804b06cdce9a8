"""Checks with one connection and one query whether calls can be recorded, and tells the problem in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from .connection import Connection, schema_difference
from .errors import CREATE
from .extension import FOUND_AND_ALLOWED, HOME
from .outgoing import Outgoing
from .sink import ToMemory

_CHECK = f"""
SELECT {FOUND_AND_ALLOWED}, pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('transaction_read_only')::boolean,
       pg_catalog.current_setting('litellm_spend.target_schema', true)
FROM (SELECT) AS one LEFT JOIN {HOME} AS home ON true
"""


@dataclass(frozen=True)
class Health:
    ok: bool
    problem: str | None = None
    """The problem and what to do about it, in one sentence; None if spend can be recorded."""

    def __bool__(self) -> bool:
        return self.ok


def check(connection: Connection, outgoing: Outgoing) -> Health:
    try:
        outgoing.load()
        if isinstance(connection, ToMemory):
            return Health(True)
        with connection.open() as server:
            row = server.execute(_CHECK).fetchone() or (False, False, False, False, None)
            exists, allowed, standby, is_read_only, schema = row
    except Exception as error:
        return Health(False, connection.explain(error))
    if not exists:
        return Health(False, f"the database has no function litellm_record_spend: {CREATE}")
    if not allowed:
        return Health(False, f"the role may not record spend: {connection.grant()}")
    if standby:
        return Health(False, "the server is a standby: point the database URL at the primary")
    if is_read_only:
        return Health(False, "the role may only read: set default_transaction_read_only = off for it or its database")
    problem = schema_difference(connection.schema, schema)
    return Health(problem is None, problem)
