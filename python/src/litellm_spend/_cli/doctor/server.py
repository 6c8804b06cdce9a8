"""What every role may see of the server: the connection, the role, the extension, the grant and the round trip."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from ... import __version__
from ..._delivery.connection import schema_difference
from ..._delivery.destination import Destination
from ..._delivery.errors import grant_to
from ..._delivery.extension import FOUND_AND_ALLOWED, HOME
from ..database import Problem, Server, Url, shown
from . import folding
from .finding import Finding, ok, problem, unknown
from .packages import release

# `home`: the extension's schema, quoted. `preloaded`: only a library that the server loads at
# its start may define a setting of that context. Each role may read it, and not shared_preload_libraries.
_FACTS = f"""
SELECT current_user::text AS role, pg_catalog.current_database()::text AS database,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
       pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.current_setting('server_version_num')::int / 10000 AS major,
       pg_catalog.current_setting('litellm_spend.target_schema', true) AS schema,
       EXISTS (SELECT FROM pg_catalog.pg_settings
               WHERE name = 'litellm_spend.max_databases' AND context = 'postmaster') AS preloaded,
       EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'litellm_spend') AS available,
       (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'litellm_spend') AS version,
       home.name AS home, {FOUND_AND_ALLOWED}
FROM (SELECT) AS one LEFT JOIN {HOME} AS home ON true
"""


@dataclass(frozen=True)
class Facts:
    """A row of _FACTS."""

    role: str
    database: str
    superuser: bool
    standby: bool
    major: int
    schema: str | None
    preloaded: bool
    available: bool
    version: str | None
    home: str | None
    found: bool
    allowed: bool


def check(url: Url, destination: Destination) -> Iterator[Finding]:
    """The checks that need the URL. They end at the first one without which the next ones mean nothing."""
    yield _url(url, destination)
    server = Server(url)
    try:
        server.connect()
        facts = Facts(**server.row(_FACTS))
    except Problem as error:
        yield problem("connection", str(error))
        yield unknown("the rest", "not checked, because it needs a connection")
        return
    try:
        yield from _check(server, facts, destination)
    finally:
        server.close()


def _check(server: Server, facts: Facts, destination: Destination) -> Iterator[Finding]:
    if facts.standby:
        yield problem("connection", "the server is a standby, which takes no records: point the URL at the primary")
        yield unknown("the rest", "not checked, because the primary folds")
        return
    yield ok("connection", f"Postgres {facts.major}, database {facts.database}")
    more = ", a superuser: an application needs no more than litellm_spend_writer" if facts.superuser else ""
    yield ok("role", f"{facts.role}{more}")
    yield _extension(facts)
    yield _preload(facts)
    if facts.version is None:
        yield unknown("the rest", "not checked, because it needs the extension: grant, worker, lag, tables, round trip")
        return
    granted = _grant(facts)
    yield granted
    yield from folding.check(server, facts.role, facts.preloaded)
    difference = schema_difference(destination.schema, facts.schema)
    yield problem("tables", difference) if difference else folding.check_tables(server, facts.role, facts.schema)
    if granted.state == "ok":
        yield _round_trip(server, facts.home or "")
    else:
        yield unknown("round trip", "not tried without the grant")


def _url(url: Url, destination: Destination) -> Finding:
    text = "; ".join((f"{shown(destination)}, from {url.source}", *destination.changes))
    if destination.unknown:
        names = ", ".join(destination.unknown)
        return problem("database URL", f"{text}; libpq does not know {names}, so it is ignored: correct or remove it")
    return ok("database URL", text)


def _extension(facts: Facts) -> Finding:
    if facts.version is None and not facts.available:
        sentence = (
            "this server has no files of the extension: run make install PG_CONFIG=... on it, then CREATE EXTENSION"
        )
        return problem("extension", f"{sentence} litellm_spend in database {facts.database} as a superuser")
    if facts.version is None:
        return problem(
            "extension",
            f"database {facts.database} does not have it: run CREATE EXTENSION litellm_spend there as a superuser",
        )
    if facts.version == __version__:
        return ok("extension", f"{facts.version}, the version of this package")
    versions = f"the extension is {facts.version} and this package {__version__}"
    if release(facts.version) > release(__version__):
        return problem("extension", f"{versions}: install the package of version {facts.version}")
    advice = "install the extension of the package's version, restart the server and run"
    return problem("extension", f"{versions}: {advice} ALTER EXTENSION litellm_spend UPDATE")


def _preload(facts: Facts) -> Finding:
    if facts.preloaded:
        return ok("preload", "shared_preload_libraries has litellm_spend")
    return problem(
        "preload",
        "the server does not load litellm_spend at its start: add it to shared_preload_libraries and restart the "
        "server; until then CALL litellm_spend.fold_all() counts the records",
    )


def _grant(facts: Facts) -> Finding:
    grant = grant_to(facts.role)
    if not facts.found:
        return problem(
            "grant",
            f"schema {facts.home} of the extension has no litellm_record_spend: run DROP EXTENSION litellm_spend and "
            "CREATE EXTENSION litellm_spend again",
        )
    if not facts.allowed:
        return problem("grant", f"role {facts.role} may not record spend: run {grant} as a superuser")
    return ok("grant", "EXECUTE on litellm_record_spend")


def _round_trip(server: Server, home: str) -> Finding:
    """Records in a transaction and rolls it back, in the callback's own call."""
    request = f"litellm-spend-doctor-{uuid.uuid4()}"
    record = {
        "request_id": request,
        "litellm_call_id": request,
        "call_type": "acompletion",
        "model": "litellm-spend-doctor",
        "spend": 0,
        "startTime": time.time(),
        "endTime": time.time(),
        "status": "success",
    }
    try:
        server.value("BEGIN")
        staged = server.value(f"SELECT {home}.litellm_record_spend($1::jsonb, 'reject')", json.dumps([record]))
        server.value("ROLLBACK")
    except Problem as error:
        return problem("round trip", str(error))
    if staged != "1":
        return problem(
            "round trip", "the server refuses a plain record: install the package of the extension's version"
        )
    return ok("round trip", "the server took a record, which was rolled back")
