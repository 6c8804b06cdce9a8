"""A fold or a comparison that takes long keeps no unrelated migration waiting, because everybody else would wait behind
that migration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import DAY, assert_counted, spend_record, spend_records
from harness.waiting import wait_until

PARTITION = """
    ALTER TABLE "LiteLLM_SpendLogs" RENAME TO old;
    ALTER INDEX "LiteLLM_SpendLogs_pkey" RENAME TO old_pkey;
    CREATE TABLE "LiteLLM_SpendLogs" (LIKE old INCLUDING DEFAULTS) PARTITION BY RANGE ("startTime");
    ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id, "startTime")"""
DAYS = "CREATE TABLE \"LiteLLM_SpendLogs_{0}\" PARTITION OF \"LiteLLM_SpendLogs\" FOR VALUES FROM ('{0}') TO ('{1}')"
WINDOW = {"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}
SPENT = 'SELECT entity_id, spend FROM "LiteLLM_BudgetWindowSpend"'


def make_key(database: Database, name: str) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()
    statement = 'INSERT INTO "LiteLLM_VerificationToken" (token, budget_limits) VALUES (%s, %s)'
    database.execute(statement, key, json.dumps([WINDOW]))
    return key


def lock(database: Database, table: str) -> psycopg.Connection:
    connection = database.connect(autocommit=False)
    connection.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE NOWAIT')
    return connection


def test_one_old_request_among_new_ones_opens_no_partition_between(database: Database) -> None:
    database.execute(PARTITION)
    for first, last in (("1971-01-01", "1971-01-02"), ("2020-01-01", "2021-01-01"), (DAY, "2026-03-02")):
        database.execute(DAYS.format(first, last))
    starts = ("1971-01-01T00:00:00Z", f"{DAY}T00:00:01Z", f"{DAY}T23:00:00Z")
    records = [spend_record(startTime=start) for start in starts]
    with lock(database, "LiteLLM_SpendLogs_2020-01-01"):
        database.record(records)
        database.wait_folded()
        database.record(records)
        database.wait_folded()
    assert_counted(database, records)
    assert database.status()["duplicates"] == len(records)


@pytest.fixture(params=["litellm_spend", ""], ids=["the worker", "fold()"])
def patient(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database whose folds wait for seconds where they must, so that the test can look at them meanwhile."""
    patience = {"deadlock_timeout": "60 s", "litellm_spend.lock_timeout": "30 s"}
    with Cluster({**patience, "shared_preload_libraries": request.param}) as cluster:
        database = new_database(cluster)
        yield database
        database.close()


def fold(database: Database) -> None:
    """Count all that is recorded, with the worker if there is one."""
    with database.connect() as session:
        if database.cluster.settings["shared_preload_libraries"]:
            assert session.execute("SELECT litellm_spend.flush('60 s')").fetchone() == (True,)
        else:
            session.execute("SELECT litellm_spend.fold()")


def test_a_fold_that_adds_up_the_log_for_a_budget_window_locks_no_other_target(patient: Database) -> None:
    patient.execute(PARTITION)
    patient.execute(DAYS.format("2026-02-26", "2026-02-27"))
    patient.execute(DAYS.format(DAY, "2026-03-02"))
    key = make_key(patient, "windowed")
    patient.execute(
        """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, "startTime", "endTime")
           VALUES ('before', '', %s, 8.0, '2026-02-26 12:00', '2026-02-26 12:00')""",
        key,
    )
    # The sum waits for this lock, as if the partition were large. No other part of a fold opens the partition.
    partition = lock(patient, "LiteLLM_SpendLogs_2026-02-26")
    patient.record(spend_records(3, "new", api_key=key))
    pool = ThreadPoolExecutor()
    folded = pool.submit(fold, patient)
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = '\"LiteLLM_SpendLogs_2026-02-26\"'::regclass"
    [[folder]] = wait_until(lambda: patient.query(waiting), what="the sum")
    locked = patient.query(
        """SELECT DISTINCT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
           WHERE l.pid = %s AND l.granted AND c.relkind IN ('r', 'p') AND c.relname LIKE 'LiteLLM%%'""",
        folder,
    )
    read = {"LiteLLM_SpendLogs", f"LiteLLM_SpendLogs_{DAY}", "LiteLLM_SpendLogDelivery"}
    assert {name for (name,) in locked} <= read
    # A migration comes and goes.
    lock(patient, "LiteLLM_VerificationToken").close()
    lock(patient, "LiteLLM_BudgetWindowSpend").close()
    partition.close()
    folded.result()
    assert patient.query(SPENT) == [(key, 8.75)]
    assert patient.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 4


def test_a_bad_record_beside_a_new_budget_window_leaves_each_request_counted_once(database: Database) -> None:
    """The fold starts again for the sum, and once more, in parts, for the bad record."""
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT c CHECK (spend < 1000)')
    keys = [make_key(database, name) for name in ("one", "two", "three")]
    records = [spend_record(request_id=f"{key}-{n}", api_key=key) for n in range(5) for key in keys]
    bad = spend_record(spend=4096.0, api_key=keys[0])
    database.record([*records[:7], bad, *records[7:]])
    database.wait_folded()
    assert_counted(database, records)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 1
    assert sorted(database.query(SPENT)) == sorted((key, 1.25) for key in keys)


def test_a_comparison_holds_no_lock_on_what_it_has_compared(database: Database) -> None:
    database.record(spend_records(3))
    database.wait_folded()
    with database.connect(autocommit=False) as session:
        compared = session.execute("SELECT * FROM litellm_spend.verify('2026-02-28', '2026-03-02')").fetchall()
        dry = session.execute("SELECT * FROM litellm_spend.rebuild('2026-02-28', '2026-03-02')").fetchall()
        assert (compared, dry) == ([], [])
        for table in ("LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend", "LiteLLM_UserTable"):
            lock(database, table).close()
    # verify still lists what differs.
    database.execute('UPDATE "LiteLLM_DailyUserSpend" SET spend = spend + 1')
    rows = database.query(f"SELECT target, column_name, difference FROM litellm_spend.verify('{DAY}', '{DAY}')")
    assert [(target, column, float(difference)) for target, column, difference in rows] == [
        ("LiteLLM_DailyUserSpend", "spend", 1.0)
    ]
