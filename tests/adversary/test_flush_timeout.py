"""flush() takes a timeout of any length: the longest waits for ever, and one below zero does not wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.database import Database
from harness.records import assert_counted, spend_records

FLUSHING = """SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE query LIKE '%%flush(%%years%%' AND state = 'active' AND wait_event_type = 'Extension')"""


@pytest.mark.parametrize("timeout", ["100000000 years", "290000 years"])
def test_flush_waits_however_long_its_timeout_is(database: Database, timeout: str) -> None:
    records = spend_records(2)

    def flush() -> bool:
        with database.connect() as connection:
            return connection.execute(f"SELECT litellm_spend.flush('{timeout}')").fetchone()[0]

    with ThreadPoolExecutor() as pool:
        with database.held_fold():
            database.record(records)
            folded = pool.submit(flush)
            database.wait_for(FLUSHING.replace("%%", "%"), True)
        assert folded.result(60)
    assert_counted(database, records)


def test_flush_with_a_negative_timeout_looks_once(database: Database) -> None:
    with database.held_fold():
        database.record(spend_records(1))
        assert not database.flush("-100000000 years")
    database.wait_folded()
