"""Row 8: the worker's own memory with a backlog of many rows, and with a backlog of large records."""

from __future__ import annotations

import threading

import psycopg

from harness.memory import anonymous_kb

from . import record
from .report import Line, below
from .runs import Plan
from .server import Server

WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'litellm_spend worker'"
RECORDS_A_CALL = 10
MEGABYTE = 1_000_000


def backlogs(server: Server, plan: Plan) -> list[Line]:
    """Both backlogs. Each is staged while the fold is held, and the worker is watched from then until all is folded."""
    with server.held_worker():
        start(server)
        with server.connect() as connection, connection.transaction():
            for first in range(0, plan.backlog, 500):
                connection.execute("SELECT bench.stage(%s, %s, 1000, 10)", (first, first + 499))
    rows = peak_of_worker(server)
    with server.held_worker():
        start(server)
        with server.connect() as connection:
            for call in range(plan.large_calls):
                stage_large(connection, call)
    large = peak_of_worker(server)
    return [
        below(8, f"worker's RssAnon at most, {plan.backlog:,} rows of one transaction", rows, 256, "MB"),
        below(8, f"the same, {plan.large_calls} calls of {RECORDS_A_CALL} records of 1 MB", large, 256, "MB"),
    ]


def start(server: Server) -> None:
    record.empty(server)
    server.reset_targets(1000)


def stage_large(connection: psycopg.Connection, call: int) -> None:
    """One call with 10 MB of records, which are large because of the user's own metadata."""
    connection.execute(
        "SELECT litellm_record_spend(jsonb_agg(jsonb_set(bench.document(n, 1000 + n, 0), "
        "'{metadata,spend_logs_metadata}', jsonb_build_object('note', repeat(md5(n::text), %s))))) "
        "FROM generate_series(%s::bigint, %s::bigint) AS n",
        (MEGABYTE // 32, call * RECORDS_A_CALL, (call + 1) * RECORDS_A_CALL - 1),
    )


def peak_of_worker(server: Server) -> float:
    """The most anonymous memory, in MB, that the worker has while it folds all staged rows."""
    peak, folded = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        with server.connect() as connection:
            while not folded.wait(0.02):
                for (pid,) in connection.execute(WORKER).fetchall():
                    peak = max(peak, anonymous_kb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        server.database.wait_folded("3600 s")
    finally:
        folded.set()
        watcher.join()
    assert peak > 0, "no worker was seen"
    return peak / 1024
