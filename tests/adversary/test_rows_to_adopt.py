"""Rows that wait for `litellm_spend.adopt()` cost an idle server nothing, however long they wait (invariant 11)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.idleness import CONNECTED, QUIET, TRANSACTIONS
from harness.records import spend_records

# This is longer than a worker waits before it retries a truncation that a lock has put off.
WATCHED_SECONDS = 11
FOREIGN_ROW = "(origin, staged_at, seq, payload) VALUES (1, now(), 0, '{}')"
NEXT_XID = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
WORKERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'litellm_spend worker'"


@pytest.fixture
def quiet() -> Iterator[Database]:
    with Cluster({**QUIET, "litellm_spend.linger": "200 ms"}) as cluster:
        yield own_schema_database(cluster)


def test_rows_that_wait_for_adoption_start_no_worker_and_use_no_transaction_id(quiet: Database) -> None:
    for segment in range(3):
        quiet.execute(f"INSERT INTO litellm_spend.staging_{segment} {FOREIGN_ROW}")
    quiet.record(spend_records(5))
    quiet.wait_folded()
    assert quiet.status()["foreign_rows"] == 3
    quiet.close()
    server = Database(quiet.cluster, "postgres")
    server.wait_for(CONNECTED.format(quiet.name), 0)
    used = f"SELECT ({NEXT_XID}), ({TRANSACTIONS.format(quiet.name)})"
    # Sessions and the worker report their last figures when they end.
    before, end = server.query(used), time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < end:
        assert server.value(WORKERS) == 0
        time.sleep(0.05)
    assert server.query(used) == before
    server.close()
    assert quiet.value("SELECT litellm_spend.adopt()") == 3
    quiet.wait_for("SELECT backlog + foreign_rows FROM litellm_spend.status", 0)
