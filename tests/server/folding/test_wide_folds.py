"""A fold counts batch after batch while more rows wait, and writes what they add up to once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records

# Each fold that writes leaves its transaction's id in the log rows that it inserted.
FOLDS = 'SELECT count(DISTINCT xmin::text) FROM "LiteLLM_SpendLogs"'
UPDATES = """SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'LiteLLM_TeamTable'"""


@pytest.fixture(scope="module")
def small_batches() -> Iterator[Cluster]:
    with Cluster({"litellm_spend.batch_rows": "20"}) as cluster:
        yield cluster


@pytest.fixture
def database(small_batches: Cluster) -> Database:
    return own_schema_database(small_batches)


def record_while_held(database: Database, count: int, **fields: object) -> list[dict]:
    records = spend_records(count, **fields)
    with database.held_fold():
        for first in range(0, count, 10):
            database.record(records[first : first + 10])
    return records


def test_what_waits_in_many_batches_is_one_fold_that_writes_each_row_once(database: Database) -> None:
    records = record_while_held(database, 1_000, team_id="team")
    database.wait_folded()
    assert_counted(database, records)
    # There are fifty batches. A fold that already waited when they were recorded may have counted the first ones.
    folds = database.value(FOLDS)
    assert folds in (1, 2)
    database.wait_for(UPDATES, folds)


def test_a_fold_ends_with_the_batch_that_reaches_fold_rows() -> None:
    with Cluster({"litellm_spend.batch_rows": "20", "litellm_spend.fold_rows": "90"}) as cluster:
        database = own_schema_database(cluster)
        records = record_while_held(database, 1_000)
        database.wait_folded()
        assert_counted(database, records)
        sizes = 'SELECT max(n) FROM (SELECT count(*) AS n FROM "LiteLLM_SpendLogs" GROUP BY xmin::text) AS f'
        assert database.value(sizes) == 100


def test_a_repeated_request_in_another_batch_of_the_fold_counts_once(database: Database) -> None:
    records = spend_records(100)
    with database.held_fold():
        database.record(records)
        database.record(records)
    database.wait_folded()
    assert_counted(database, records)
    assert database.status()["duplicates"] == 100


@pytest.mark.parametrize("table", ["LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend"])
def test_a_record_that_fails_costs_itself_and_not_what_other_batches_count(database: Database, table: str) -> None:
    database.execute(f'ALTER TABLE "{table}" ADD CONSTRAINT c CHECK (spend < 1000000)')
    records = spend_records(400)
    bad = spend_records(1, "bad", spend=4194304.0, user="mallory")
    with database.held_fold():
        database.record(records[:300])
        database.record(bad)
        database.record(records[300:])
    database.wait_folded()
    assert_counted(database, records)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 1
    assert database.value(FOLDS) > 1


def test_a_window_that_begins_in_a_later_batch_starts_from_what_was_logged_before_it(database: Database) -> None:
    """Each request of a team is in its budget window once, whichever batch it came in."""
    database.execute(
        """INSERT INTO "LiteLLM_TeamTable" (team_id, budget_limits) VALUES
           ('team', '[{"budget_duration": "30d", "reset_at": "2100-01-01T00:00:00Z"}]')"""
    )
    database.execute("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, "startTime", "endTime", team_id)
        VALUES ('before', 'acompletion', 8.0, '2099-12-31', '2099-12-31', 'team')""")
    others = spend_records(60, "other", team_id="another")
    records = spend_records(60, "of-team", team_id="team", startTime="2099-12-31T00:00:00Z")
    with database.held_fold():
        database.record(others)
        database.record(records)
    database.wait_folded()
    spent = sum(record["spend"] for record in records)
    found = database.value("""SELECT spend FROM "LiteLLM_BudgetWindowSpend" WHERE entity_id = 'team'""")
    assert found == pytest.approx(8.0 + spent)
    # One more fold counted the row that existed before. The batches were not counted one by one.
    assert database.value(FOLDS) - 1 in (1, 2)


def fold_sizes(database: Database) -> list[int]:
    """How many records each fold has counted, in the order of the folds."""
    sizes = 'SELECT count(*) FROM "LiteLLM_SpendLogs" GROUP BY xmin::text ORDER BY min(xmin::text::bigint)'
    return [size for (size,) in database.query(sizes)]


def record_with_tags(database: Database, count: int, *, tags: int) -> None:
    """Record requests of one user. Each has its own tags, and each tag is a row of two tables."""
    with database.held_fold():
        for first in range(0, count, 100):
            database.record(
                [
                    spend_record(request_id=f"r-{n}", request_tags=[f"{n}-{tag}" for tag in range(tags)])
                    for n in range(first, first + 100)
                ]
            )


@pytest.mark.parametrize("somebody_waits", [False, True], ids=["nobody_waits", "somebody_waits"])
def test_a_worker_locks_few_rows_at_a_time_while_somebody_waits_for_them(somebody_waits: bool) -> None:
    with Cluster({"litellm_spend.batch_rows": "100", "litellm_spend.create_missing": "user"}) as cluster:
        database = own_schema_database(cluster)
        database.record(spend_record(request_id="first"))
        database.wait_folded()
        update = """UPDATE "LiteLLM_UserTable" SET spend = spend WHERE user_id = 'alice'"""
        with repeated(database, update) if somebody_waits else nullcontext():
            # A hundred records have 2,500 rows of tags and of their days, in two tables, of which one is written.
            record_with_tags(database, 1_600, tags=25)
            database.wait_folded("120 s")
        sizes = fold_sizes(database)
    if somebody_waits:
        assert max(sizes) <= 400, sizes
    else:
        assert max(sizes) > 400, sizes


@contextmanager
def repeated(database: Database, statement: str) -> Iterator[None]:
    """Another session runs the statement again and again."""
    ended = threading.Event()

    def run() -> None:
        with database.connect() as session:
            while not ended.is_set():
                session.execute(statement)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
