"""A record that ends the server whenever it is folded costs that record and four crashes at most."""

from __future__ import annotations

import os
import signal

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records
from harness.waiting import wait_until

# A process that is killed is a crash to the postmaster, which restarts every process.
POISON = """
CREATE FUNCTION public.crash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.request_id = 'poison' THEN
        EXECUTE pg_catalog.format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_catalog.pg_backend_pid());
        PERFORM pg_catalog.pg_sleep(10);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER crash BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.crash()"""
COLUMNS = "SELECT starts_without_fold, trying_xid, tries FROM litellm_spend.fold_cursor"


def answers(database: Database, statement: str, expected: object) -> bool:
    """Whether the server, which may be restarting, gives this answer."""
    try:
        return database.value(statement) == expected
    except Exception:
        database.close()
        return False


def test_a_record_that_crashes_the_server_is_rejected_and_the_others_count(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.execute(POISON)
    good = spend_records(41)
    # This is the state of a server that has folded since its start.
    database.record(good[40])
    database.wait_folded()
    with database.held_fold():
        database.record([*good[:20], spend_record(request_id="poison"), *good[20:40]])
    wait_until(lambda: answers(database, "SELECT backlog FROM litellm_spend.status", 0), deadline=60)
    assert_counted(database, good)
    rejected = "SELECT sqlstate, payload ->> 'request_id' FROM litellm_spend.rejected"
    assert database.query(rejected) == [("XX000", "poison")]
    assert 1 < len(own_cluster.crashes()) <= 4
    assert database.query(COLUMNS) == [(0, None, 0)]


def test_a_postponed_record_that_crashes_the_server_is_rejected_and_the_others_count(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    good = spend_records(10)
    database.record(good[0])
    database.wait_folded()
    with database.connect(autocommit=False) as holder:
        holder.execute("UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'alice'")
        database.record([*good[1:5], spend_record(request_id="poison"), *good[5:]])
        database.wait_for("SELECT postponed FROM litellm_spend.status", 10)
        database.execute(POISON)
    wait_until(lambda: answers(database, "SELECT backlog FROM litellm_spend.status", 0), deadline=60)
    assert_counted(database, good)
    rejected = "SELECT sqlstate, payload ->> 'request_id' FROM litellm_spend.rejected"
    assert database.query(rejected) == [("XX000", "poison")]
    assert 1 < len(own_cluster.crashes()) <= 4
    assert database.value("SELECT litellm_spend.retry_rejected()") == 0
    # A record that is postponed while nothing crashes is counted as before.
    more = spend_records(5, "more")
    database.record(more)
    database.wait_folded()
    assert_counted(database, [*good, *more])


def test_restarts_while_the_fold_is_held_reject_nothing(own_cluster: Cluster) -> None:
    """The restart may also come while a row is tried alone."""
    database = new_database(own_cluster)
    records = spend_records(3)
    lock = 'ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT c CHECK (false) NOT VALID'
    database.record(spend_record(request_id="first"))
    database.wait_folded()
    database.execute(lock)
    database.record(records)
    for _ in range(4):
        database.wait_for("SELECT worker FROM litellm_spend.status", "held")
        own_cluster.restart()
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT c')
    database.wait_folded()
    assert_counted(database, [spend_record(request_id="first"), *records])
    assert database.query(COLUMNS) == [(0, None, 0)]


def test_a_crash_while_the_fold_waits_for_a_table_is_no_records_fault(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    record = spend_record()
    with database.connect() as holder:
        holder.execute('BEGIN; LOCK TABLE "LiteLLM_SpendLogs" IN SHARE MODE; SELECT pg_current_xact_id()')
        holder.execute("PREPARE TRANSACTION 'a migration'")
    database.record(record)
    for _ in range(4):
        database.wait_for("SELECT (SELECT starts_without_fold FROM litellm_spend.fold_cursor) > 0", True)
        own_cluster.restart("immediate")
    assert database.value("SELECT trying_xid IS NULL FROM litellm_spend.fold_cursor")
    database.execute("ROLLBACK PREPARED 'a migration'")
    database.wait_folded()
    assert_counted(database, [record])
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0


SLEEP = """
    CREATE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_catalog.pg_sleep(600); RETURN NEW; END $$;
    CREATE TRIGGER sleep BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.sleep()"""
WAKE = """
    CREATE OR REPLACE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RETURN NEW; END $$"""
ASLEEP = "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
TRIED_ALONE = "SELECT trying_xid IS NOT NULL FROM litellm_spend.fold_cursor"


def kill_sleeper(cluster: Cluster, database: Database) -> None:
    """Kill the process that sleeps in a trigger, and wait until the server is back.

    It is not enough to wait until the server logs the death: the server logs it first and ends its other processes
    afterwards, so one of them may still answer."""
    before = cluster.times_ready()
    os.kill(database.value("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), signal.SIGKILL)
    wait_until(lambda: cluster.times_ready() > before, deadline=60, what="the server to be back")
    database.close()


def test_one_death_of_a_worker_is_not_its_records_fault(own_cluster: Cluster) -> None:
    """An operator, or a machine without memory, may have killed the worker."""
    database = new_database(own_cluster)
    record = spend_record(request_id="slow")
    database.execute(SLEEP)
    database.record(record)
    tried_alone = False
    while not tried_alone:
        database.wait_for(ASLEEP, 1)
        tried_alone = database.value(TRIED_ALONE)
        if tried_alone:
            database.execute(WAKE)
        kill_sleeper(own_cluster, database)
    wait_until(lambda: answers(database, "SELECT backlog FROM litellm_spend.status", 0), deadline=60)
    assert_counted(database, [record])
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert database.query(COLUMNS) == [(0, None, 0)]


def test_a_server_that_is_stopped_while_a_record_is_tried_alone_is_not_that_records_fault(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    record = spend_record(request_id="slow")
    database.execute(SLEEP)
    database.record(record)
    tried_alone = 0
    while tried_alone < 3:
        database.wait_for(ASLEEP, 1)
        tried_alone += database.value(TRIED_ALONE)
        own_cluster.restart("immediate")
    database.wait_for(ASLEEP, 1)
    database.execute(WAKE)
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    database.wait_folded()
    assert_counted(database, [record])
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert database.query(COLUMNS) == [(0, None, 0)]
