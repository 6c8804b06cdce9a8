"""Staging gives its space back and never keeps a recorder waiting (invariants 5 and 6)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records, totals
from harness.waiting import wait_until

HEAP = "SELECT sum(pg_relation_size(s))::bigint FROM unnest(ARRAY['litellm_spend.staging_0', \
'litellm_spend.staging_1', 'litellm_spend.staging_2']::regclass[]) AS s"


@pytest.fixture
def quick(own_cluster: Cluster) -> Iterator[Database]:
    """A database with small segments, truncated a second after they are consumed."""
    own_cluster.execute("ALTER SYSTEM SET litellm_spend.segment_size = '64 kB'")
    own_cluster.execute("ALTER SYSTEM SET litellm_spend.truncate_delay = '1 s'")
    own_cluster.execute("SELECT pg_reload_conf()")
    database = new_database(own_cluster)
    yield database
    database.close()


def test_a_folded_segment_is_truncated_also_beside_an_old_snapshot(quick: Database) -> None:
    with quick.connect(autocommit=False) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")
        records = [record for part in range(3) for record in spend_records(1_000, f"p{part}")]
        for part in range(3):
            quick.record(records[part * 1_000 : (part + 1) * 1_000])
            quick.wait_folded()
        quick.wait_for(HEAP, 0, deadline=60)
    assert_counted(quick, records)


def test_a_record_of_an_open_transaction_keeps_its_segment(quick: Database) -> None:
    early, late = spend_records(1, "early"), spend_records(1_000, "late")
    with quick.connect(autocommit=False) as open_transaction:
        open_transaction.execute("SELECT litellm_record_spend(%s)", (Jsonb(early),))
        quick.record(late)
        quick.wait_folded()
        # Recorders move on to another segment, and the pinned one stays.
        quick.wait_for("SELECT max(segment) > 0 FROM litellm_spend.rotation", True)
        open_transaction.commit()
    quick.wait_folded()
    assert_counted(quick, early + late)
    quick.wait_for(HEAP, 0, deadline=60)


def test_recorders_move_on_to_the_next_segment_while_they_never_pause(quick: Database) -> None:
    stop = threading.Event()
    sent: list[list[dict]] = []

    def record(part: int) -> None:
        with quick.connect() as connection:
            while not stop.is_set():
                # A call has few records, so that the folds of a debug build keep up.
                batch = spend_records(2, f"{part}-{len(sent)}")
                connection.execute("SELECT litellm_record_spend(%s)", (Jsonb(batch),))
                sent.append(batch)

    seen: set[int] = set()

    def every_segment_was_used() -> bool:
        seen.update(row[0] for row in quick.query("SELECT segment FROM litellm_spend.rotation"))
        return len(seen) == 3

    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(record, part) for part in range(4)]
        try:
            wait_until(every_segment_was_used, deadline=60, what="three segments in turn", show=lambda _: repr(seen))
        finally:
            stop.set()
        for job in jobs:
            job.result()
    quick.wait_folded("120 s")
    assert_counted(quick, [record for batch in sent for record in batch])


def test_a_recorder_steps_over_a_locked_segment_without_waiting(quick: Database) -> None:
    records = spend_records(2)
    with quick.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.staging_0 IN ACCESS EXCLUSIVE MODE")
        with quick.connect() as recorder:
            # A wait of any length would raise an error.
            recorder.execute("SET lock_timeout = '1ms'")
            recorder.execute("SELECT litellm_record_spend(%s)", (Jsonb(records),))
            segments = recorder.execute("SELECT count(*) FROM litellm_spend.staging_1").fetchone()
        assert segments == (2,)
    quick.wait_folded()
    assert_counted(quick, records)


def test_records_too_large_for_a_page_are_counted_like_those_beside_them(database: Database) -> None:
    """Such records go to TOAST, and the index must still find them."""
    incompressible = [hashlib.sha512(str(n).encode()).hexdigest() for n in range(300)]
    large = {"metadata": {"spend_logs_metadata": incompressible}}
    for count in (1, 3, 250):
        batch = [spend_record(request_id=f"{count}-{n}", **(large if n % 3 == 0 else {})) for n in range(count)]
        assert database.record(batch) == count
    database.wait_folded()
    assert totals(database)["logs"] == (254, 254 * 0.25)
