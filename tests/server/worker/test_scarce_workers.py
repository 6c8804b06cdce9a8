"""There are more databases than processes. Workers take turns, and a wait for a process is reported (invariant 16)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.recorders import recorders
from harness.records import assert_counted, counted, spend_records
from harness.waiting import wait_until

# The launcher's process and one more, which nothing else may take.
ONE_PROCESS = {
    "max_worker_processes": "2",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    # No worker leaves by itself within a test.
    "litellm_spend.linger": "4000 ms",
    "litellm_spend.batch_rows": "50",
    "litellm_spend.fold_rows": "50",
}


@pytest.fixture
def scarce() -> Iterator[Cluster]:
    with Cluster(ONE_PROCESS) as cluster:
        yield cluster


def databases(cluster: Cluster, count: int) -> list[Database]:
    made = [new_database(cluster, template="template1") for _ in range(count)]
    for database in made:
        database.query("SELECT * FROM litellm_spend.create_tables()")
    return made


def wait_until_each_is_folded_further(loaded: list[Database]) -> None:
    before = [counted(database) for database in loaded]
    wait_until(
        lambda: all(counted(database) > seen for database, seen in zip(loaded, before, strict=True)),
        deadline=60,
        what="every database to be folded while all of them are busy",
        show=lambda _: repr([database.status() for database in loaded]),
    )


def test_three_databases_under_load_are_all_folded_by_one_process(scarce: Cluster) -> None:
    loaded = databases(scarce, 3)
    with recorders(loaded, records=20, pause=0.01):
        # Twice, so that the process comes back to each of them.
        for _ in range(2):
            wait_until_each_is_folded_further(loaded)
    for database in loaded:
        database.wait_for("SELECT state FROM litellm_spend.health()", "ok")
    assert scarce.crashes() == []


def test_a_held_worker_leaves_for_a_database_that_waits_and_comes_back(scarce: Cluster) -> None:
    held, other = databases(scarce, 2)
    held.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"')
    first, second = spend_records(3, "first"), spend_records(3, "second")
    held.record(first)
    held.wait_for("SELECT worker FROM litellm_spend.status", "held")
    other.record(second)
    other.wait_folded()
    assert_counted(other, second)
    held.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id)')
    held.wait_folded()
    assert_counted(held, first)


def test_a_prepared_transaction_keeps_no_process_from_others(scarce: Cluster) -> None:
    waiting, other = databases(scarce, 2)
    first, second = spend_records(3, "first"), spend_records(3, "second")
    with waiting.connect(autocommit=False) as session:
        session.execute("SELECT litellm_record_spend(%s)", (Jsonb(first),))
        session.execute("PREPARE TRANSACTION 'spend'")
    waiting.wait_for("SELECT worker FROM litellm_spend.status", "running")
    other.record(second)
    other.wait_folded()
    waiting.execute("COMMIT PREPARED 'spend'")
    waiting.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    assert_counted(waiting, first)
    assert_counted(other, second)


def test_without_any_free_process_status_and_health_say_so(own_cluster: Cluster) -> None:
    own_cluster.stop()
    own_cluster.configure(**{**ONE_PROCESS, "max_worker_processes": "1"})
    own_cluster.start()
    [database] = databases(own_cluster, 1)
    database.record(spend_records(3))
    database.wait_for("SELECT worker FROM litellm_spend.status", "starved")
    state, reason, advice = database.query("SELECT * FROM litellm_spend.health()")[0]
    assert state == "degraded" and "process" in reason and "max_worker_processes" in advice
    assert "max_worker_processes" in database.status()["advice"]
    for segment in range(3):
        database.execute(f"UPDATE litellm_spend.staging_{segment} SET staged_at = staged_at - interval '1 day'")
    assert database.value("SELECT state FROM litellm_spend.health()") == "down"
    assert database.fold() == 3
    # A start that fails is retried less and less often, and logged once.
    assert own_cluster.log().count("finds no background worker process") == 1
