"""Staging gives its space back, and never makes a recorder wait (invariants 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records

HEAP = "SELECT sum(pg_relation_size(s))::bigint FROM unnest(ARRAY['litellm_spend.staging_0', \
'litellm_spend.staging_1', 'litellm_spend.staging_2']::regclass[]) AS s"


@pytest.fixture
def quick(own_cluster: Cluster) -> Iterator[Database]:
    """A database whose consumed segments are truncated after a second."""
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
        # Recorders move on to another segment; the pinned one stays.
        quick.wait_for("SELECT max(segment) FROM litellm_spend.rotation", 1)
        open_transaction.commit()
    quick.wait_folded()
    assert_counted(quick, early + late)
    quick.wait_for(HEAP, 0, deadline=60)


def test_a_recorder_steps_over_a_locked_segment_without_waiting(quick: Database) -> None:
    records = spend_records(2)
    with quick.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.staging_0 IN ACCESS EXCLUSIVE MODE")
        with quick.connect() as recorder:
            # A wait of any length would be an error.
            recorder.execute("SET lock_timeout = '1ms'")
            recorder.execute("SELECT litellm_record_spend(%s)", (Jsonb(records),))
            segments = recorder.execute("SELECT count(*) FROM litellm_spend.staging_1").fetchone()
        assert segments == (2,)
    quick.wait_folded()
    assert_counted(quick, records)
