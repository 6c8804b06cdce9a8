"""When nothing is staged the extension costs nothing: no transaction ids, no WAL, no connection (invariant 11)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from conftest import Tell, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.idleness import CONNECTED, QUIET, TRANSACTIONS
from harness.records import spend_records

STAGED = "SELECT sum(pg_relation_size(s))::bigint FROM unnest(ARRAY['litellm_spend.staging_0', \
'litellm_spend.staging_1', 'litellm_spend.staging_2']::regclass[]) AS s"
# The test reads the figures outside of the database, so that it changes no page there.
USED = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_wal_insert_lsn() - '0/0'"
OURS = "SELECT backend_type, datname FROM pg_stat_activity WHERE backend_type LIKE 'litellm_spend%'"


@pytest.fixture
def quiet() -> Iterator[Database]:
    with Cluster({**QUIET, "litellm_spend.linger": "500 ms"}) as cluster:
        yield new_database(cluster)


def idle_for(database: Database, seconds: float) -> tuple[int, int, int]:
    """Transaction ids, bytes of WAL and transactions in the database that `seconds` of idleness used."""
    database.record(spend_records(50))
    database.wait_folded()
    database.wait_for(STAGED, 0)
    database.close()
    server = Database(database.cluster, "postgres")
    server.execute("CHECKPOINT")
    server.wait_for(CONNECTED.format(database.name), 0)
    # The worker reports its last figures when it ends.
    server.query(USED)
    before, transactions = server.query(USED)[0], server.value(TRANSACTIONS.format(database.name))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.query(OURS) == [("litellm_spend launcher", None)]
        time.sleep(min(0.25, seconds))
    after = server.query(USED)[0]
    used = server.value(TRANSACTIONS.format(database.name)) - transactions
    server.close()
    return after[0] - before[0], int(after[1] - before[1]), used


def test_two_idle_seconds_cost_nothing(quiet: Database) -> None:
    assert idle_for(quiet, 2) == (0, 0, 0)


@pytest.mark.stress
def test_a_minute_of_idleness_costs_nothing(quiet: Database, tell: Tell) -> None:
    xids, wal, transactions = idle_for(quiet, 60)
    tell("60 s of idleness", f"{xids} transaction ids, {wal} bytes of WAL, {transactions} transactions in the database")
    assert (xids, wal, transactions) == (0, 0, 0)
