"""Rows 1 and 2: the cost of recording for its caller, against a bare insert of the same document."""

from __future__ import annotations

import itertools
from statistics import median

import psycopg

from . import document, pgbench
from .document import FIRST_USER
from .report import Line, at_least, at_most, plain
from .runs import Plan, interleaved, seconds_of
from .server import Server

RECORD = "SELECT litellm_record_spend({document})"
BARE = "INSERT INTO bench.bare (payload) VALUES ({document})"
BATCH = 500


def single_calls(server: Server, plan: Plan) -> list[Line]:
    """Row 1."""
    lines = []
    with server.held_worker():
        for commit, bound in (("on", 0.90), ("off", 0.75)):
            wal: dict[str, list[float]] = {RECORD: [], BARE: []}

            def side(statement: str, commit: str = commit, wal: dict[str, list[float]] = wal) -> float:
                empty(server)
                before = server.wal_position()
                settings = f"-c synchronous_commit={commit}"
                outcome = pgbench.run(server, statement, seconds=plan.seconds, settings=settings)
                wal[statement].append((server.wal_position() - before) / outcome.calls)
                return outcome.calls_per_second

            ours, bare = interleaved(plan.runs, lambda s=side: s(RECORD), lambda s=side: s(BARE))
            what = f"record, 8 clients, synchronous_commit {commit}, fold held; against a bare insert"
            lines.append(at_least(1, what, f"{ours:,.0f}/s; {bare:,.0f}/s", ours / bare, bound))
            if commit == "on":
                bytes_of = {statement: median(values) for statement, values in wal.items()}
                figure = f"{bytes_of[RECORD]:,.0f} B; {bytes_of[BARE]:,.0f} B"
                ratio = bytes_of[RECORD] / bytes_of[BARE]
                lines.append(at_most(1, "WAL of a record; of a bare insert", figure, ratio, 1.1))
    server.with_worker()

    def with_fold() -> float:
        empty(server)
        server.reset_targets(1000)
        return pgbench.run(server, RECORD, seconds=plan.seconds).calls_per_second

    def bare_beside() -> float:
        empty(server)
        return pgbench.run(server, BARE, seconds=plan.seconds).calls_per_second

    ours, bare = interleaved(plan.runs, with_fold, bare_beside)
    lines.append(plain(1, "the same while the worker folds", f"{ours:,.0f}/s; {bare:,.0f}/s", ours / bare))
    return lines


def rate(server: Server, plan: Plan) -> float:
    """Single calls per second while nothing is folded."""
    with server.held_worker():
        empty(server)
        return pgbench.run(server, RECORD, seconds=plan.seconds).calls_per_second


def batches(server: Server, plan: Plan) -> list[Line]:
    """Row 2."""
    numbers = itertools.count()

    def documents() -> list[str]:
        return [document.text(n, FIRST_USER + n % 1000, n % 10) for n in itertools.islice(numbers, BATCH)]

    def record(connection: psycopg.Connection, texts: list[str]) -> None:
        connection.execute("SELECT litellm_record_spend(%s::jsonb)", [f"[{','.join(texts)}]"], prepare=True)

    def copy(connection: psycopg.Connection, texts: list[str]) -> None:
        lines = "".join(f"{text}\n" for text in texts)
        with connection.cursor() as cursor, cursor.copy("COPY bench.bare (payload) FROM STDIN") as copying:
            copying.write(lines)

    def milliseconds(action) -> float:
        empty(server)
        with server.connect() as connection:
            action(connection, documents())
            calls = [documents() for _ in range(plan.calls)]
            return 1e3 * median(seconds_of(lambda c=call: action(connection, c)) for call in calls)

    with server.held_worker():
        ours, copied = interleaved(plan.runs, lambda: milliseconds(record), lambda: milliseconds(copy))
    figure = f"{ours:.2f} ms; {copied:.2f} ms"
    return [at_most(2, f"one call with {BATCH} records; COPY of them into a jsonb table", figure, ours / copied, 1.1)]


def empty(server: Server) -> None:
    """Empty the tables of both sides, then run a checkpoint."""
    server.database.execute(
        "TRUNCATE bench.bare, litellm_spend.staging_0, litellm_spend.staging_1, litellm_spend.staging_2"
    )
    server.checkpoint()
