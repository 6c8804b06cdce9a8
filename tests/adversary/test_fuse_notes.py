"""What counts against the row that a worker tried alone is lost to no other row, and nothing else counts against it."""

from __future__ import annotations

import threading

import pytest
from test_fuse import ASLEEP, COLUMNS, POISON, SLEEP, TRIED_ALONE, answers

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record
from harness.waiting import wait_until

REJECTED = "SELECT payload ->> 'request_id' FROM litellm_spend.rejected"
POSTPONED = "SELECT postponed FROM litellm_spend.status"
MOST_CRASHES = 4


def hold_for_good(database: Database, user: str) -> None:
    """The user's row is held by a prepared transaction, which a crash does not end; any role may prepare one."""
    with database.connect(autocommit=False) as holder:
        holder.execute('UPDATE "LiteLLM_UserTable" SET spend = spend WHERE user_id = %s', (user,))
        holder.execute(f"PREPARE TRANSACTION '{user}'")


def assert_poison_is_rejected(cluster: Cluster, database: Database, postponed: int = 1) -> None:
    wait_until(
        lambda: answers(database, REJECTED, "poison") or len(cluster.crashes()) > MOST_CRASHES,
        deadline=60,
        what="the poison record to be rejected",
    )
    assert len(cluster.crashes()) <= MOST_CRASHES
    database.wait_for(POSTPONED, postponed)


def test_a_record_that_stays_postponed_clears_nothing_of_a_staged_one(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.record(spend_record(user="alice"))
    database.wait_folded()
    hold_for_good(database, "alice")
    database.record(spend_record(user="alice"))
    database.wait_for(POSTPONED, 1)
    database.execute(POISON)
    database.record(spend_record(request_id="poison", user="bob"))
    assert_poison_is_rejected(own_cluster, database)


def test_a_record_that_stays_postponed_clears_nothing_of_another_postponed_one(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.record([spend_record(user="alice"), spend_record(user="bob")])
    database.wait_folded()
    for user in ("alice", "bob"):
        hold_for_good(database, user)
    database.record(spend_record(user="alice"))
    database.record(spend_record(request_id="poison", user="bob"))
    database.wait_for(POSTPONED, 2)
    database.execute(POISON)
    database.execute("ROLLBACK PREPARED 'bob'")
    assert_poison_is_rejected(own_cluster, database)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restarts_with_batches_of_one_row_are_no_records_fault(mode: str) -> None:
    with Cluster({"litellm_spend.batch_rows": "1"}) as cluster:
        database = new_database(cluster)
        database.execute(SLEEP)
        database.record(spend_record())
        for _ in range(5):
            database.wait_for(ASLEEP, 1)
            cluster.restart(mode)
        database.wait_for(ASLEEP, 1)


def test_a_stop_while_a_worker_waits_to_forget_a_row_is_not_that_rows_fault(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.execute(SLEEP)
    database.record(spend_record())
    waits = "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    tried_alone = 0
    while tried_alone < 3:
        database.wait_for(ASLEEP, 1)
        if database.value(TRIED_ALONE):
            tried_alone += 1
            holder = database.connect(autocommit=False)
            # It waits for the worker, and has the table as soon as the worker's fold fails.
            lock = threading.Thread(
                target=holder.execute, args=("LOCK TABLE litellm_spend.fold_cursor IN SHARE MODE",), daemon=True
            )
            lock.start()
            database.wait_for(waits, 1)
            database.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            lock.join()
            database.wait_for(waits, 1)
        own_cluster.restart("immediate")
    database.wait_for(ASLEEP, 1)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert database.query(COLUMNS)[0][2] < 5


def test_records_that_stay_postponed_do_not_end_the_search(own_cluster: Cluster) -> None:
    """As many as are folded one at a time, and more."""
    database = new_database(own_cluster)
    database.record(spend_record(user="alice"))
    database.wait_folded()
    hold_for_good(database, "alice")
    own_cluster.execute("ALTER SYSTEM SET litellm_spend.batch_rows = 2")
    own_cluster.restart()
    for _ in range(3):
        database.record(spend_record(user="alice"))
    database.wait_for(POSTPONED, 3)
    database.execute(POISON)
    database.record(spend_record(request_id="poison", user="bob"))
    assert_poison_is_rejected(own_cluster, database, postponed=3)
