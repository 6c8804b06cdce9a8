"""No death of the worker or of the server loses a committed record, or counts it twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_records
from harness.waiting import wait_until

# The time since which the worker waits after a look at staging.
LOOKS = """SELECT pid, state_change FROM pg_stat_activity
    WHERE application_name = 'litellm_spend worker' AND datname = current_database() AND state = 'idle'"""


@pytest.fixture
def small_batches() -> Iterator[Cluster]:
    """A server that folds a backlog in many small transactions."""
    with Cluster({"litellm_spend.batch_rows": "100", "litellm_spend.fold_rows": "100"}) as cluster:
        yield cluster


def test_terminating_the_worker_in_the_middle_of_a_backlog_counts_each_record_once(small_batches: Cluster) -> None:
    database = own_schema_database(small_batches)
    records = spend_records(10_000)
    database.record(records)
    kills = 0
    while kills < 5:
        wait_until(
            lambda: counted(database) == len(records) or database.status()["worker_pid"],
            what="a running worker or an empty backlog",
        )
        seen = counted(database)
        if seen == len(records):
            break
        if database.value("SELECT pg_terminate_backend(worker_pid, 10000) FROM litellm_spend.status"):
            kills += 1
    database.wait_folded("120 s")
    assert kills > 0, "the whole backlog was folded before the worker could be terminated"
    assert_counted(database, records)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_staged_rows_are_folded_after_the_server_was_stopped(own_cluster: Cluster, mode: str) -> None:
    database = new_database(own_cluster)
    records = spend_records(500)
    with database.held_fold():
        database.record(records)
        assert database.status()["backlog"] == 500
        own_cluster.stop(mode)
    own_cluster.start()
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 500)
    assert_counted(database, records)


def test_a_killed_postmaster_loses_nothing_and_counts_nothing_twice(small_batches: Cluster) -> None:
    database = own_schema_database(small_batches)
    records = spend_records(5_000)
    database.record(records)
    wait_until(lambda: counted(database) > 0, what="the first batch to be folded")
    small_batches.kill()
    small_batches.start_again()
    database.wait_folded("120 s")
    assert_counted(database, records)


@pytest.mark.parametrize("restart", [False, True], ids=["without_restart", "with_restart"])
def test_a_prepared_transaction_is_counted_when_it_commits(own_cluster: Cluster, restart: bool) -> None:
    database = new_database(own_cluster)
    *prepared, other = spend_records(4)
    prepare(database, prepared)
    if restart:
        own_cluster.restart()
    database.record(other)
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 1)
    database.execute("COMMIT PREPARED 'spend'")
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 4)
    assert_counted(database, [*prepared, other])


def test_a_prepared_transaction_that_commits_after_a_restart_wakes_the_worker_by_itself(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    records = spend_records(3)
    prepare(database, records)
    own_cluster.restart("immediate")
    database.execute("COMMIT PREPARED 'spend'")
    # Nobody records or asks for a fold.
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3, deadline=10)
    assert_counted(database, records)


@pytest.mark.parametrize("restart", [False, True], ids=["without_restart", "with_restart"])
def test_a_worker_stays_and_looks_again_while_a_prepared_transaction_holds_rows(restart: bool) -> None:
    """COMMIT PREPARED wakes nobody. A worker with nothing to do would leave at once here."""
    with Cluster({"litellm_spend.linger": "0"}) as cluster:
        database = own_schema_database(cluster)
        records = spend_records(3)
        prepare(database, records)
        if restart:
            cluster.restart("immediate")
        looks = set()

        def one_looked_three_times() -> bool:
            looks.update(database.query(LOOKS))
            # The worker that CREATE EXTENSION started may still be there.
            return 3 in Counter(pid for pid, _ in looks).values()

        wait_until(one_looked_three_times, what="a worker that looks again", show=lambda _: repr(looks))
        database.execute("COMMIT PREPARED 'spend'")
        database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
        assert_counted(database, records)


def test_a_prepared_transaction_that_rolls_back_is_never_counted(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    *prepared, other = spend_records(4)
    prepare(database, prepared)
    own_cluster.restart("immediate")
    database.execute("ROLLBACK PREPARED 'spend'")
    database.record(other)
    database.wait_folded()
    assert_counted(database, [other])


def prepare(database: Database, records: list) -> None:
    with database.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT litellm_record_spend(%s)", (Jsonb(records),))
        connection.execute("PREPARE TRANSACTION 'spend'")
