"""A fold reads staged rows in order, window by window, and misses none (invariant 4)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_records, totals
from harness.waiting import wait_until

# Staged rows whose transaction id has this many digits.
DIGITS = "SELECT count(*) FROM litellm_spend.staging WHERE length(xid::text) = {}"


@pytest.fixture
def tiny_batches() -> Iterator[Cluster]:
    """A server whose folds need many batches for one window, and so continue from a position."""
    with Cluster({"litellm_spend.batch_rows": "7", "litellm_spend.fold_rows": "7"}) as cluster:
        yield cluster


def test_transaction_ids_are_numbers_and_not_text_when_a_batch_continues(tiny_batches: Cluster) -> None:
    database = own_schema_database(tiny_batches)
    next_id = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    # As text, 10000 comes before 9999, so a cursor with that order would skip rows. Worker and server take ids too, so
    # the test counts how many records lie below 10000 and does not compute it.
    while database.value(next_id) < 9_950:
        database.query("SELECT pg_current_xact_id()")
    records = []
    with database.held_fold():
        while (above := database.value(DIGITS.format(5))) < 20:
            records += spend_records(1, f"r{len(records)}")
            database.record(records[-1])
        assert above == 20 and database.value(DIGITS.format(4)) == len(records) - 20 > 0
    database.wait_folded()
    assert_counted(database, records)


def test_one_transaction_of_many_records_is_folded_in_many_batches(tiny_batches: Cluster) -> None:
    database = own_schema_database(tiny_batches)
    records = spend_records(1_000)
    assert database.record(records) == 1_000
    database.wait_folded()
    assert_counted(database, records)


def test_fold_counts_what_is_committed_now_beyond_a_window_that_a_worker_left_open(tiny_batches: Cluster) -> None:
    database = own_schema_database(tiny_batches)
    early, late = spend_records(3_000, "early"), spend_records(5, "late")
    database.record(early)
    wait_until(lambda: counted(database) > 0, what="the first batch to be folded")
    tiny_batches.stop("immediate")
    tiny_batches.configure(shared_preload_libraries="")
    tiny_batches.start()
    assert 0 < counted(database) < len(early)
    assert database.value("SELECT open_window IS NOT NULL FROM litellm_spend.fold_cursor")
    database.record(late)
    database.fold_all()
    assert_counted(database, early + late)


def test_a_record_that_a_trigger_stages_within_a_fold_is_counted_by_the_next(database: Database) -> None:
    first, *records = spend_records(21)
    database.record(first)
    database.wait_folded()
    database.execute(
        """CREATE FUNCTION public.surcharge() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
               PERFORM public.litellm_record_spend(pg_catalog.jsonb_build_object(
                   'request_id', NEW.request_id || '-surcharge', 'spend', 0.5, 'startTime', 0, 'user', 'house'));
               RETURN NULL;
           END $$;
           CREATE TRIGGER t AFTER INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW
           WHEN (NEW."user" <> 'house') EXECUTE FUNCTION public.surcharge()"""
    )
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'litellm_spend worker'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    # The fold has its id, but not its window yet, when younger transactions end. Its snapshot then reads
    # its own id as ended.
    with database.connect(autocommit=False) as blocker:
        blocker.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        database.record(records)
        database.wait_for(waiting, 1)
        database.query("SELECT pg_current_xact_id()")
    database.wait_for("""SELECT sum(spend) FROM "LiteLLM_UserTable" WHERE user_id = 'house'""", 10.0)
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 41


def test_every_snapshot_shows_all_targets_agreeing_while_batches_are_folded(tiny_batches: Cluster) -> None:
    """Invariant 2: a batch shows in all targets at once."""
    database = own_schema_database(tiny_batches)
    records = spend_records(1_400)
    database.record(records)
    seen = set()
    while len(records) not in seen:
        # One statement, hence one snapshot.
        snapshot = totals(database)
        requests, spend = snapshot["logs"]
        assert set(snapshot.values()) <= {(requests, spend), (None, spend)}, snapshot
        seen.add(requests)
    assert len(seen) > 20, "too few snapshots were taken while the worker folded"
    assert_counted(database, records)
