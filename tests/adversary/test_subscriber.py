"""A logical subscriber that records too loses none of its own records to its publisher's TRUNCATE (invariant 12).

The publication is that of the schema litellm_spend: what both sides count in LiteLLM's tables is another question.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import psycopg
import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.records import assert_counted, counted, spend_records

SEGMENTS = (0, 1, 2)
# Postgres waits at least this long before it copies the next table, or retries after an error.
SOON = {"wal_retrieve_retry_interval": "10 ms", "max_sync_workers_per_subscription": "4"}
# Before its first fold this database has no cursor.
PENDING = """SELECT coalesce(array_agg(DISTINCT s.segment ORDER BY s.segment), '{{}}'), count(*)
    FROM litellm_spend.staging s LEFT JOIN litellm_spend.fold_cursor c USING (origin)
    WHERE s.payload ->> 'user' = '{user}' AND (c.origin IS NULL OR NOT pg_visible_in_snapshot(s.xid, folded_through))"""
MINE, THEIRS = "subscriber", "publisher"
_names = itertools.count(1)


@pytest.fixture(scope="module")
def publishing() -> Iterator[Cluster]:
    with Cluster({"wal_level": "logical", "litellm_spend.truncate_delay": "0"}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def subscribing() -> Iterator[Cluster]:
    """Another cluster, without a worker: a record waits there until the test calls fold()."""
    with Cluster({**SOON, "shared_preload_libraries": ""}, initdb=[]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def recording() -> Iterator[Cluster]:
    """Another cluster, with a worker."""
    with Cluster({**SOON, "litellm_spend.truncate_delay": "0"}, initdb=[]) as cluster:
        yield cluster


class Pair:
    """A publisher and its subscriber, both of which record."""

    def __init__(self, publishing: Cluster, subscribing: Cluster, prepare: str = "SELECT") -> None:
        self.publisher = own_schema_database(publishing)
        self.subscriber = own_schema_database(subscribing)
        self.subscriber.execute(prepare.format(name=self.subscriber.name))
        self.name = f"spend_{next(_names)}"
        self.publisher.execute("CREATE PUBLICATION spend FOR TABLES IN SCHEMA litellm_spend")
        self.subscriber.execute(f"CREATE SUBSCRIPTION {self.name} CONNECTION '{self.publisher.url}' PUBLICATION spend")
        self.subscriber.wait_for("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", True)

    def replicate(self) -> None:
        """Wait until the subscriber has applied all that is committed now."""
        position = self.publisher.value("SELECT pg_current_wal_insert_lsn()::text")
        self.publisher.wait_for(
            f"SELECT coalesce(bool_and(confirmed_flush_lsn >= '{position}'::pg_lsn), false) "
            f"FROM pg_replication_slots WHERE slot_name = '{self.name}'",
            True,
        )

    def truncate(self, *segments: int) -> str:
        return "TRUNCATE " + ", ".join(f"litellm_spend.staging_{segment}" for segment in segments)

    def pending(self, user: str = MINE) -> tuple[list[int], int]:
        [(segments, count)] = self.subscriber.query(PENDING.format(user=user))
        return segments, count

    def drop(self) -> None:
        self.subscriber.execute(f"DROP SUBSCRIPTION {self.name}")
        self.publisher.close()
        self.subscriber.close()


def mine(count: int, prefix: str) -> list[dict]:
    return spend_records(count, prefix, user=MINE)


@pytest.fixture
def pair(publishing: Cluster, subscribing: Cluster) -> Iterator[Pair]:
    pair = Pair(publishing, subscribing)
    yield pair
    pair.drop()


def test_what_a_subscriber_has_recorded_survives_each_truncate_and_is_counted_once(pair: Pair) -> None:
    counted_before, waiting = mine(3, "counted"), mine(5, "waiting")
    pair.subscriber.record(counted_before)
    assert pair.subscriber.fold() == 3
    pair.subscriber.record(waiting)
    # The records are of another day, because litellm_spend.counted_days has one row for a day, whoever counted it.
    pair.publisher.record(spend_records(4, "theirs", user=THEIRS, startTime="2026-03-02T12:00:00Z"))
    pair.publisher.wait_folded()
    staged_at = "SELECT max(staged_at) FROM litellm_spend.staging WHERE payload ->> 'user' = 'subscriber'"
    before = pair.subscriber.value(staged_at)
    for segment in (0, 1, 2, 0):
        pair.publisher.execute(pair.truncate(segment))
        pair.replicate()
        segments, count = pair.pending()
        assert segment not in segments and count == 5
    assert pair.pending(THEIRS) == ([], 0)
    # The record keeps the time at which it was staged, from which the lag is counted.
    assert pair.subscriber.value(staged_at) == before
    assert pair.subscriber.fold() == 5
    assert_counted(pair.subscriber, [*counted_before, *waiting])
    pair.publisher.execute(pair.truncate(*SEGMENTS))
    pair.replicate()
    assert pair.subscriber.fold() == 0
    assert pair.subscriber.value("SELECT count(*) FROM litellm_spend.staging") == 0


@pytest.mark.parametrize("at_once", [True, False], ids=["one statement", "one transaction"])
def test_rows_go_to_the_segment_that_stays(pair: Pair, at_once: bool) -> None:
    records = mine(3, "r")
    pair.subscriber.record(records)
    with pair.publisher.connect(autocommit=False) as connection:
        for segments in [(0, 1)] if at_once else [(0,), (1,)]:
            connection.execute(pair.truncate(*segments))
    pair.replicate()
    assert pair.pending() == ([2], 3)
    assert pair.subscriber.fold() == 3
    assert_counted(pair.subscriber, records)


def test_what_an_open_window_has_consumed_is_not_staged_anew(pair: Pair) -> None:
    pair.subscriber.record(mine(1, "before"))
    assert pair.subscriber.fold() == 1
    pair.subscriber.record(mine(6, "window"))
    # A worker that was ended between two batches leaves this.
    pair.subscriber.execute(
        """UPDATE litellm_spend.fold_cursor c
           SET open_window = pg_current_snapshot(), position_xid = s.xid, position_seq = s.seq
           FROM litellm_spend.staging s WHERE s.payload ->> 'request_id' = 'window-3' AND s.origin = c.origin"""
    )
    for segment in SEGMENTS[:2]:
        pair.publisher.execute(pair.truncate(segment))
    pair.replicate()
    left = pair.subscriber.query("SELECT payload ->> 'request_id' FROM litellm_spend.staging ORDER BY seq")
    assert left == [("window-4",), ("window-5",)]
    assert pair.subscriber.fold() == 2


def test_rows_of_two_segments_keep_apart_in_the_third(pair: Pair) -> None:
    """Each row has its own place in the order in which a fold reads, because a batch may end after any of them."""
    early, late = mine(4, "early"), mine(4, "late")
    pair.subscriber.record(early)
    with pair.subscriber.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.staging_0 IN ACCESS EXCLUSIVE MODE")
        pair.subscriber.record(late)
    assert pair.pending() == ([0, 1], 8)
    pair.publisher.execute(pair.truncate(0, 1))
    pair.replicate()
    assert pair.pending() == ([2], 8)
    assert pair.subscriber.value("SELECT count(DISTINCT (xid, seq)) FROM litellm_spend.staging_2") == 8
    assert pair.subscriber.fold() == 8
    assert_counted(pair.subscriber, [*early, *late])


def test_rows_that_no_segment_can_take_are_folded_before_they_go(pair: Pair) -> None:
    records = mine(3, "r")
    pair.subscriber.record(records)
    pair.publisher.execute(pair.truncate(*SEGMENTS))
    refused = "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = '{}'"
    pair.subscriber.wait_for(refused.format(pair.name), True)
    assert pair.pending()[1] == 3
    assert pair.subscriber.fold() == 3
    pair.replicate()
    assert pair.subscriber.value("SELECT count(*) FROM litellm_spend.staging") == 0
    assert_counted(pair.subscriber, records)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_record_that_commits_while_the_truncate_waits_for_it_survives(
    publishing: Cluster, subscribing: Cluster, isolation: str
) -> None:
    prepare = f"ALTER DATABASE \"{{name}}\" SET default_transaction_isolation = '{isolation}'"
    pair = Pair(publishing, subscribing, prepare)
    records = mine(2, "late")
    with pair.subscriber.connect(autocommit=False) as recorder:
        recorder.execute("SELECT litellm_record_spend(%s)", (psycopg.types.json.Jsonb(records),))
        # The apply worker's transaction then has a snapshot of this moment.
        with pair.publisher.connect(autocommit=False) as connection:
            connection.execute("INSERT INTO litellm_spend.rotation (origin) VALUES (7)")
            connection.execute(pair.truncate(0))
        pair.subscriber.wait_for("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'", 1)
        recorder.commit()
    pair.replicate()
    segments, count = pair.pending()
    assert 0 not in segments and count == 2
    with pair.subscriber.connect() as connection:
        connection.execute("SET default_transaction_isolation = 'read committed'")
        assert connection.execute("SELECT litellm_spend.fold()").fetchone() == (2,)
    assert_counted(pair.subscriber, records)
    pair.drop()


def test_nothing_is_lost_or_doubled_beside_a_worker_that_folds(publishing: Cluster, recording: Cluster) -> None:
    pair = Pair(publishing, recording)
    stop, sent = threading.Event(), []

    def record(part: int) -> None:
        with pair.subscriber.connect() as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                records = mine(3, f"{part}-{number}")
                connection.execute("SELECT litellm_record_spend(%s)", (psycopg.types.json.Jsonb(records),))
                sent.extend(records)

    recorders = [threading.Thread(target=record, args=(part,)) for part in range(2)]
    for recorder in recorders:
        recorder.start()
    try:
        for turn in range(30):
            pair.publisher.execute(pair.truncate(turn % 3))
            pair.replicate()
    finally:
        stop.set()
        for recorder in recorders:
            recorder.join()
    pair.subscriber.wait_folded("60 s")
    assert counted(pair.subscriber) == len(sent)
    assert_counted(pair.subscriber, sent)
    assert recording.crashes() == []
    pair.drop()


def test_a_truncate_of_ones_own_is_a_truncate(pair: Pair) -> None:
    pair.subscriber.record(mine(2, "gone"))
    pair.subscriber.execute(pair.truncate(0, 1, 2))
    assert pair.subscriber.fold() == 0


def test_the_trigger_function_serves_no_other_table_and_no_other_role(pair: Pair) -> None:
    pair.subscriber.execute("CREATE TABLE other (n int)")
    for event in ("BEFORE TRUNCATE", "BEFORE INSERT", "AFTER DELETE"):
        pair.subscriber.execute(f"CREATE TRIGGER t {event} ON other EXECUTE FUNCTION litellm_spend.keep_own_rows()")
        pair.subscriber.execute("ALTER TABLE other ENABLE ALWAYS TRIGGER t")
        with pytest.raises(psycopg.Error) as error:
            pair.subscriber.execute("INSERT INTO other VALUES (1); DELETE FROM other; TRUNCATE other")
        assert error.value.sqlstate == "39P01"
        pair.subscriber.execute("DROP TRIGGER t ON other")
    with pytest.raises(psycopg.Error, match="NotTrigger"):
        pair.subscriber.query("SELECT litellm_spend.keep_own_rows()")
    may = "SELECT has_function_privilege('pg_monitor', 'litellm_spend.keep_own_rows()', 'EXECUTE')"
    assert pair.subscriber.value(may) is False
