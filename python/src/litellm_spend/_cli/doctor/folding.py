"""The worker, its lag and its tables. Only roles with pg_monitor may see them."""

from __future__ import annotations

from collections.abc import Iterator

from ..database import Problem, Server
from ..text import count, duration
from .finding import Finding, ok, problem, unknown

_STATUS = "SELECT worker, extract(epoch FROM lag)::float8 AS lag, backlog, advice FROM litellm_spend.status"
_HEALTH = "SELECT state, reason, advice FROM litellm_spend.health()"
_TABLES = "SELECT target, found, action, reason FROM litellm_spend.targets"
_DENIED = "42501"


def check(server: Server, role: str, preloaded: bool) -> Iterator[Finding]:
    """Whether a worker runs in this database, and whether committed records are counted in time."""
    try:
        status = server.row(_STATUS)
        health = server.row(_HEALTH)
    except Problem as error:
        if not preloaded:
            yield problem("worker", "none can run, because the server does not load litellm_spend at its start")
            yield _unseen("lag", role, "litellm_spend.status", error)
            return
        for subject in ("worker", "lag"):
            yield _unseen(subject, role, "litellm_spend.status", error)
        return
    if status["worker"] in ("running", "idle"):
        yield ok("worker", "running" if status["worker"] == "running" else "idle, it starts at the next commit")
    else:
        yield problem("worker", f"{status['worker']}: {status['advice']}")
    if health["state"] != "ok":
        yield problem("lag", " ".join(filter(None, (health["reason"], health["advice"]))))
    elif status["backlog"]:
        oldest = duration(float(status["lag"]))
        yield ok("lag", f"records that wait to be folded: {count(status['backlog'])}, the oldest for {oldest}")
    else:
        yield ok("lag", "nothing waits to be folded")


def check_tables(server: Server, role: str, schema: str | None) -> Finding:
    """Whether folds find and write LiteLLM's tables."""
    where = f"schema {schema or 'public'}"
    try:
        tables = server.rows(_TABLES)
    except Problem as error:
        return _unseen("tables", role, "litellm_spend.targets", error)
    held = [f"{table['target']}: {table['reason']}" for table in tables if table["action"] == "held"]
    if held:
        return problem("tables", f"nothing is folded until this is repaired: {'; '.join(held)}")
    if not any(table["found"] for table in tables):
        return problem(
            "tables",
            f"{where} has none of LiteLLM's tables: run LiteLLM's migrations or SELECT * FROM "
            "litellm_spend.create_tables(), or set litellm_spend.target_schema to their schema",
        )
    written = sum(table["action"] == "written" for table in tables)
    missing = [table["target"] for table in tables if not table["found"]]
    switched_off = [table["target"] for table in tables if table["found"] and table["action"] == "skipped"]
    text = f"{written} of LiteLLM's tables in {where} are found and written"
    if missing:
        text += f"; not there, as in some versions of LiteLLM: {', '.join(missing)}"
    if switched_off:
        text += f"; switched off: {', '.join(switched_off)}"
    return ok("tables", text)


def _unseen(subject: str, role: str, what: str, error: Problem) -> Finding:
    if error.sqlstate == _DENIED:
        return unknown(
            subject, f"role {role} may not read {what}: run the doctor again with a role that has pg_monitor"
        )
    return unknown(subject, f"{what} cannot be read: {error}")
