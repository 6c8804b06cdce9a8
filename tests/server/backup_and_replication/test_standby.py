"""A standby refuses records. After promotion it counts the rows that were staged before exactly once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_record, spend_records
from harness.waiting import wait_until


@pytest.fixture
def standby(own_cluster: Cluster) -> Iterator[Cluster]:
    with Cluster(standby_of=own_cluster) as cluster:
        yield cluster


def test_a_standby_refuses_a_record_and_runs_no_worker(own_cluster: Cluster, standby: Cluster) -> None:
    primary = new_database(own_cluster)
    records = spend_records(5)
    primary.record(records)
    primary.wait_folded()
    replica = Database(standby, primary.name)
    standby_has = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'
    wait_for_replica(primary, standby)
    replica.wait_for(standby_has, 5)
    with pytest.raises(psycopg.Error) as error:
        replica.record(spend_record())
    assert error.value.sqlstate == "25006"
    assert replica.status()["worker_pid"] is None
    assert replica.value("SELECT bool_and(found) FROM litellm_spend.targets")
    assert_counted(replica, records)


def test_a_promoted_standby_counts_what_was_staged_before(own_cluster: Cluster, standby: Cluster) -> None:
    primary = new_database(own_cluster)
    counted, staged = spend_records(5, "counted"), spend_records(7, "staged")
    primary.record(counted)
    primary.wait_folded()
    with primary.held_fold():
        primary.record(staged)
        wait_for_replica(primary, standby)
        own_cluster.stop("immediate")
    standby.execute("SELECT pg_promote()")
    promoted = Database(standby, primary.name)
    promoted.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 12)
    new = spend_records(3, "new")
    promoted.record(new)
    promoted.wait_folded()
    assert_counted(promoted, [*counted, *staged, *new])


def test_a_synchronous_standby_counts_every_acknowledged_record_once(own_cluster: Cluster, standby: Cluster) -> None:
    primary = new_database(own_cluster)
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    primary.wait_for("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", 1)
    sent, acknowledged = [], []

    def keep_recording() -> None:
        with primary.connect() as connection:
            while True:
                record = spend_record()
                sent.append(record)
                try:
                    connection.execute("SELECT litellm_record_spend(%s::jsonb)", (json.dumps(record),))
                except psycopg.OperationalError:
                    return
                acknowledged.append(record["request_id"])

    recorders = [threading.Thread(target=keep_recording, daemon=True) for _ in range(3)]
    for recorder in recorders:
        recorder.start()
    wait_until(lambda: counted(primary) > 50, what="some records to be folded")
    with primary.held_fold():
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 50, what="records that wait for a fold")
        own_cluster.kill()
    for recorder in recorders:
        recorder.join()
    standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
    standby.execute("SELECT pg_reload_conf()")
    standby.execute("SELECT pg_promote()")
    promoted = Database(standby, primary.name)
    # Nobody records or asks for a fold.
    staged_or_logged = """SELECT payload->>'request_id' FROM litellm_spend.staging
                          UNION SELECT request_id FROM "LiteLLM_SpendLogs" """
    there = {request_id for (request_id,) in promoted.query(staged_or_logged)}
    assert there >= set(acknowledged)
    promoted.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', len(there))
    assert_counted(promoted, [record for record in sent if record["request_id"] in there])


def wait_for_replica(primary: Database, standby: Cluster) -> None:
    """Wait until the standby has replayed all that the primary wrote so far."""
    written = primary.value("SELECT pg_current_wal_insert_lsn()::text")
    replayed = Database(standby, "postgres")
    try:
        replayed.wait_for(f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn", True)
    finally:
        replayed.close()
