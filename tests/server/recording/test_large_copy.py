"""One COPY records millions of records in one transaction, while the server is killed. They count as a whole or not
at all, in memory that does not grow with their number."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import psycopg
import pytest

from conftest import Tell, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.memory import anonymous_kb
from harness.records import spend_record, totals
from harness.waiting import wait_until

SHORT = 20_000
LONG = int(os.environ.get("LITELLM_SPEND_STRESS_ROWS", "5000000"))
# Memory is compared with that of a COPY of this few rows, and of the folds of the first tenth.
FEW = 1_000
# Memory may be this much more than that. Keeping a hundred bytes of each row would exceed it even in the short form.
SLACK = 1.3
LINES_AT_A_TIME = 500
FOLDED = "SELECT coalesce(sum(folded), 0)::bigint FROM litellm_spend.fold_cursor"
WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'litellm_spend worker' AND datname = current_database()"


@pytest.fixture
def database() -> Iterator[Database]:
    """A database of a server that folds in many batches. The extension created its tables."""
    with Cluster({"litellm_spend.batch_rows": str(FEW), "litellm_spend.fold_rows": str(FEW)}) as cluster:
        database = own_schema_database(cluster)
        yield database


def lines(count: int) -> Iterator[str]:
    """The records of a JSON log file, in blocks of some lines."""
    template = json.dumps(spend_record(request_id="r-%", litellm_call_id="c-%", user="user-?"))
    for start in range(0, count, LINES_AT_A_TIME):
        numbers = range(start, min(start + LINES_AT_A_TIME, count))
        yield "".join(f"{template.replace('%', str(n)).replace('?', str(n % 50))}\n" for n in numbers)


def copy(connection: psycopg.Connection, count: int, *, kill_after: int | None = None, cluster: Cluster) -> int:
    """COPY this many records. Returns the most memory that the session took, in kB."""
    pid, peak, sent = connection.info.backend_pid, 0, 0
    with connection.cursor() as cursor, cursor.copy("COPY litellm_spend.inbox FROM STDIN") as copying:
        for block in lines(count):
            copying.write(block)
            sent += LINES_AT_A_TIME
            peak = max(peak, anonymous_kb(pid))
            if kill_after is not None and sent >= kill_after:
                cluster.kill()
                # The session would go on while it has something to read.
                wait_until(lambda: anonymous_kb(pid) == 0, what="the session to notice that the server is gone")
                kill_after = None
    return max(peak, anonymous_kb(pid))


def fold_until(database: Database, count: int, *, deadline: float) -> int:
    """Wait until this many records are folded. Returns the most memory that the worker took, in kB."""
    peak = 0

    def reached() -> bool:
        nonlocal peak
        for (pid,) in database.query(WORKER):
            peak = max(peak, anonymous_kb(pid))
        return database.value(FOLDED) >= count

    wait_until(reached, deadline=deadline, what=f"{count} folded records", show=lambda _: database.status())
    return peak


def run(database: Database, count: int, tell: Tell) -> None:
    cluster = database.cluster
    deadline = 60 + count / 100
    with database.connect(autocommit=False) as connection:
        session_with_few = copy(connection, FEW, cluster=cluster)
        connection.rollback()

    with pytest.raises(psycopg.OperationalError), database.connect(autocommit=False) as connection:
        copy(connection, count, kill_after=count // 2, cluster=cluster)
        connection.commit()
    cluster.start_again()
    assert database.flush("60 s")
    assert database.value(FOLDED) == 0

    with database.connect(autocommit=False) as connection:
        session = copy(connection, count, cluster=cluster)
        connection.commit()
    worker_with_few = fold_until(database, count // 10, deadline=deadline)
    worker = fold_until(database, count // 2, deadline=deadline)
    assert database.value(FOLDED) < count, "all was folded before the server could be killed"
    cluster.kill()
    cluster.start_again()
    worker = max(worker, fold_until(database, count, deadline=deadline))

    tell(
        f"one COPY of {count} records: memory in kB",
        f"session {session}, with {FEW} rows {session_with_few}; worker {worker}, at first {worker_with_few}",
    )
    spend = count * 0.25
    assert totals(database) == {
        name: (None if name in ("user", "team", "tag") else count, spend) for name in totals(database)
    }
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert session <= SLACK * session_with_few
    assert worker <= SLACK * worker_with_few


def test_one_copy_survives_kills_whole_and_in_bounded_memory(database: Database, tell: Tell) -> None:
    run(database, SHORT, tell)


@pytest.mark.stress
@pytest.mark.timeout(24 * 3600)
def test_one_copy_of_millions_survives_kills_whole_and_in_bounded_memory(database: Database, tell: Tell) -> None:
    run(database, LONG, tell)
