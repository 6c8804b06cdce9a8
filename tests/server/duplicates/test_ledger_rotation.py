"""The ledger remembers an id for litellm_spend.dedupe_window, and is emptied without dead rows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.postgres import bindir
from harness.records import spend_record, spend_records
from harness.remembering import configure, send
from harness.waiting import wait_until

DEDUPE_WINDOW = "litellm_spend.dedupe_window"
DAILY = 'SELECT coalesce(sum(api_requests), 0)::int FROM "LiteLLM_DailyUserSpend"'
CURRENT = "SELECT current FROM litellm_spend.ledger_rotation"
# The default window is a week, so half of it is three and a half days.
AGE = "UPDATE litellm_spend.ledger_rotation SET started_at = ARRAY(SELECT t - %s::interval FROM unnest(started_at) t)"
FILE = "SELECT pg_relation_filenode('litellm_spend.ledger_0')"


@pytest.fixture
def unlogged(cluster: Cluster) -> Iterator[Database]:
    """A database where only the ledger remembers requests."""
    database = new_database(cluster, extension=False)
    configure(database, write_spend_logs="off")
    database.execute("CREATE EXTENSION litellm_spend")
    yield database
    discard(database)


@pytest.fixture
def short_window(unlogged: Database) -> Iterator[Database]:
    """A database where only the ledger remembers requests, with a window of a second."""
    with unlogged.server_setting(DEDUPE_WINDOW, "1s"):
        yield unlogged


def count(database: Database, *records: dict) -> int:
    """Fold these records. Returns how many requests have been counted since the beginning."""
    send(database, *records)
    return database.value(DAILY)


def test_an_id_is_known_for_a_window_and_forgotten_some_time_later(unlogged: Database) -> None:
    first, *others = spend_records(10)
    assert count(unlogged, first) == 1
    for counted, other in enumerate(others[:6], start=2):
        unlogged.execute(AGE, "1.1 days")
        assert count(unlogged, other, first) == counted, "forgotten within its window"
    for counted, other in enumerate(others[6:], start=8):
        unlogged.execute(AGE, "3.6 days")
        assert count(unlogged, other) == counted
    assert count(unlogged, first) == 11


def test_the_tables_take_turns_each_half_window(unlogged: Database) -> None:
    send(unlogged, spend_record())
    unlogged.execute(AGE, "7 days")
    turns = []
    for _ in range(4):
        send(unlogged, spend_record())
        turns.append(unlogged.value(CURRENT))
        unlogged.execute(AGE, "3.4 days")
        send(unlogged, spend_record())
        turns.append(unlogged.value(CURRENT))
        unlogged.execute(AGE, "0.1 days")
    assert turns == [1, 1, 2, 2, 0, 0, 1, 1]
    tables = [f"SELECT count(*)::int FROM litellm_spend.ledger_{table}" for table in range(3)]
    # Two of the last round, and two of each of the two turns before it.
    assert [unlogged.value(table) for table in tables] == [2, 2, 2]


def test_a_longer_window_holds_for_what_was_entered_before_it(short_window: Database) -> None:
    """The age of a table decides, not the number of turns since."""
    records = spend_records(4)
    for record in records[:3]:
        send(short_window, record)
        short_window.execute(AGE, "2 s")
    assert short_window.value(CURRENT) == 2
    with short_window.server_setting(DEDUPE_WINDOW, "1h"):
        short_window.execute(AGE, "31 min")
        assert count(short_window, records[3]) == 4
        assert count(short_window, *records) == 4


def test_an_id_older_than_the_window_counts_again(short_window: Database) -> None:
    record = spend_record()
    assert count(short_window, record) == 1

    def counted_again() -> bool:
        return count(short_window, record) > 1

    wait_until(counted_again, what="the id to be forgotten", deadline=30)


def test_a_dump_that_has_the_oldest_table_open_puts_its_turn_off_and_nothing_is_forgotten(unlogged: Database) -> None:
    first, second, third = spend_records(3)
    send(unlogged, first)
    unlogged.execute(AGE, "8 days")
    send(unlogged, second)
    unlogged.execute(AGE, "8 days")
    send(unlogged, third)
    assert unlogged.value(CURRENT) == 2
    unlogged.execute(AGE, "8 days")
    with unlogged.connect(autocommit=False) as dump:
        dump.execute("LOCK TABLE litellm_spend.ledger_0 IN ACCESS SHARE MODE")
        assert count(unlogged, first, spend_record()) == 4
        assert unlogged.value(CURRENT) == 2
        assert count(unlogged, first, second, third) == 4
    assert count(unlogged, spend_record()) == 5
    assert unlogged.value(CURRENT) == 0
    assert count(unlogged, first) == 6


def test_a_table_is_truncated_and_not_deleted_from_when_its_turn_comes_again(unlogged: Database) -> None:
    send(unlogged, spend_record())
    file = unlogged.value(FILE)
    for expected in (1, 2, 0):
        unlogged.execute(AGE, "8 days")
        send(unlogged, spend_record())
        assert unlogged.value(CURRENT) == expected
    assert unlogged.value(FILE) != file


def test_fold_does_not_wait_for_who_locks_the_ledger_exclusively(unlogged: Database) -> None:
    with unlogged.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.ledger_2 IN ACCESS EXCLUSIVE MODE")
        unlogged.record(spend_record())
        with pytest.raises(psycopg.errors.LockNotAvailable, match="are locked"):
            unlogged.fold()
    unlogged.wait_folded()
    assert unlogged.value(DAILY) == 1


def test_a_dump_holds_the_ledger_and_the_restored_database_remembers(unlogged: Database, tmp_path: Path) -> None:
    records, late = spend_records(3), spend_record()
    send(unlogged, *records[:2])
    unlogged.execute(AGE, "8 days")
    send(unlogged, *records)
    dump = tmp_path / "dump.sql"
    subprocess.run([bindir() / "pg_dump", "-f", dump, unlogged.url], check=True)
    copy = Database(unlogged.cluster, f"{unlogged.name}_copy")
    unlogged.cluster.create_database(copy.name)
    try:
        unlogged.cluster.psql("-f", str(dump), database=copy.name)
        # The log is on in that database, but the requests of the dump are not in it.
        assert count(copy, *records, late) == 4
        assert count(copy, *records, late) == 4
        copy.execute(AGE, "6 days")
        assert count(copy, *records, late) == 4
    finally:
        discard(copy)
