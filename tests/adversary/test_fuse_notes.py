"""A crash counts against the row that the worker tried alone, against no other row, and no other event counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
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
    """A prepared transaction holds the user's row. A crash does not end it, and any role may prepare one."""
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


def try_alone(cluster: Cluster, database: Database) -> None:
    """From here on the worker tries a record alone, and the fold takes as long as the test lets it."""
    database.execute(SLEEP)
    database.record(spend_record())
    database.wait_for(ASLEEP, 1)
    while not database.value(TRIED_ALONE):
        cluster.restart("immediate")
        database.wait_for(ASLEEP, 1)


@contextmanager
def held_as_the_fold_fails(database: Database) -> Iterator[None]:
    """The row's fold fails. From then on another session locks the table in which the row is noted."""
    waits = "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with database.connect(autocommit=False) as holder:
        lock = threading.Thread(
            target=holder.execute, args=("LOCK TABLE litellm_spend.fold_cursor IN SHARE MODE",), daemon=True
        )
        lock.start()
        database.wait_for(waits, 1)
        database.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        lock.join()
        database.wait_for("SELECT worker FROM litellm_spend.status", "held")
        yield


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stop_before_a_worker_can_forget_a_row_is_not_that_rows_fault(own_cluster: Cluster, mode: str) -> None:
    database = new_database(own_cluster)
    database.execute(SLEEP)
    database.record(spend_record())
    tried_alone = 0
    while tried_alone < 3:
        database.wait_for(ASLEEP, 1)
        if database.value(TRIED_ALONE):
            tried_alone += 1
            with suppress(psycopg.OperationalError), held_as_the_fold_fails(database):
                own_cluster.restart(mode)
        else:
            own_cluster.restart("immediate")
    database.wait_for(ASLEEP, 1)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert database.query(COLUMNS)[0][2] == 0


def test_a_worker_that_could_not_forget_a_row_forgets_it_later(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    try_alone(own_cluster, database)
    with held_as_the_fold_fails(database):
        database.execute('ALTER TABLE "LiteLLM_SpendLogs" DISABLE TRIGGER sleep, ADD CHECK (false) NOT VALID')
    database.wait_for(TRIED_ALONE, False)


def test_who_waits_for_the_table_keeps_no_worker_from_its_end(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    try_alone(own_cluster, database)
    with database.connect(autocommit=False) as holder:
        everything = "LOCK TABLE litellm_spend.fold_cursor IN ACCESS EXCLUSIVE MODE"
        lock = threading.Thread(target=holder.execute, args=(everything,), daemon=True)
        lock.start()
        database.wait_for("SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
        ended = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        assert database.value(ended) is True
        lock.join()


def test_a_held_row_of_the_cursor_keeps_no_worker_from_its_end(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    try_alone(own_cluster, database)
    with held_as_the_fold_fails(database), database.connect(autocommit=False) as holder:
        holder.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        holder.execute("PREPARE TRANSACTION 'who went home'")
    # It waits until all processes have ended.
    own_cluster.restart()
    assert database.value(TRIED_ALONE) is True
    database.execute("ROLLBACK PREPARED 'who went home'")


def test_a_standby_that_is_gone_keeps_no_worker_from_a_fold_and_from_its_end(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    own_cluster.restart()
    database.execute("SET synchronous_commit = local")
    database.record(spend_record())
    database.wait_folded()
    try_alone(own_cluster, database)
    # It waits until all processes have ended.
    own_cluster.restart()
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0


@pytest.mark.parametrize("whose", ["server", "database"])
def test_a_note_outlives_a_crash_where_commits_are_asynchronous(own_cluster: Cluster, whose: str) -> None:
    database = new_database(own_cluster)
    of = f'DATABASE "{database.name}" SET' if whose == "database" else "SYSTEM SET"
    database.execute(f"ALTER {of} synchronous_commit = off")
    # The delay is so long that no note is written by then, unless its commit waits for the write.
    database.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    own_cluster.restart()
    database.execute(POISON)
    database.execute("SET synchronous_commit = on")
    database.record(spend_record(request_id="poison"))
    assert_poison_is_rejected(own_cluster, database, postponed=0)


def test_records_that_stay_postponed_do_not_end_the_search(own_cluster: Cluster) -> None:
    """At least as many records stay postponed as a fold tries one at a time."""
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
