"""A fold beside many sessions that update the same rows as LiteLLM's own writer does: in one order, in a transaction
for each table. No deadlock reaches anybody, and no amount is lost (invariant 8)."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.types.json import Jsonb

from conftest import Tell
from harness.database import Database
from harness.records import spend_record
from harness.waiting import wait_until

SESSIONS = 16
ROWS = [f"shared-{number:02}" for number in range(20)]
# LiteLLM's order of tables; rows of one table are sorted (db_spend_update_writer.py).
TABLES = (
    ("LiteLLM_UserTable", "user_id"),
    ("LiteLLM_EndUserTable", "user_id"),
    ("LiteLLM_TeamTable", "team_id"),
    ("LiteLLM_TagTable", "tag_name"),
)


def test_sessions_that_write_the_same_rows_meet_no_deadlock(database: Database, tell: Tell) -> None:
    run_beside_sessions(database, tell, seconds=5)


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_sessions_that_write_the_same_rows_for_a_minute_meet_no_deadlock(database: Database, tell: Tell) -> None:
    run_beside_sessions(database, tell, seconds=60)


def run_beside_sessions(database: Database, tell: Tell, *, seconds: float) -> None:
    record_all(database)
    database.wait_folded()
    stop, rounds, records = threading.Event(), [0] * SESSIONS, len(ROWS)
    logged_before = len(database.cluster.log())

    def write(session: int) -> None:
        with database.connect(autocommit=False, options="-c lock_timeout=5s -c deadlock_timeout=1s") as connection:
            while not stop.is_set():
                for table, column in TABLES:
                    for row in ROWS:
                        connection.execute(f'UPDATE "{table}" SET spend = spend + 1 WHERE {column} = %s', (row,))
                    connection.commit()
                rounds[session] += 1

    with ThreadPoolExecutor(SESSIONS) as pool:
        jobs = [pool.submit(write, session) for session in range(SESSIONS)]
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and not any(job.done() for job in jobs):
                records += record_all(database)
            # However slow the machine is, each has had a turn.
            wait_until(lambda: all(rounds) or any(job.done() for job in jobs), what="a round of each session")
        finally:
            stop.set()
        for job in jobs:
            job.result()
    database.wait_folded("120 s")

    deadlocks = database.cluster.log()[logged_before:].count("deadlock detected")
    share = records / len(ROWS)
    tell(
        "beside a LiteLLM-like writer",
        f"{seconds:g} s, {SESSIONS} sessions, {sum(rounds)} rounds, {records} records: {deadlocks} deadlocks",
    )
    assert deadlocks == 0
    for table, column in TABLES:
        totals = database.query(f'SELECT {column}, spend FROM "{table}" WHERE {column} = ANY (%s) ORDER BY 1', ROWS)
        assert totals == [(row, sum(rounds) + share * 0.25) for row in ROWS], table


def record_all(database: Database) -> int:
    """One record of each row, in the opposite order."""
    database.query(
        "SELECT litellm_record_spend(%s)",
        Jsonb([spend_record(user=row, end_user=row, team_id=row, request_tags=[row]) for row in reversed(ROWS)]),
    )
    return len(ROWS)
