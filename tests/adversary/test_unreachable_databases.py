"""The launcher tries a database that no worker can connect to less and less often, and does not forget it
(invariant 16)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from psycopg.types.json import Jsonb

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records
from harness.waiting import wait_until

HELD = "SELECT worker, last_error FROM litellm_spend.status"


@pytest.fixture
def idle_database(own_cluster: Cluster) -> Iterator[Database]:
    """A database to which only the test is connected."""
    own_cluster.stop()
    own_cluster.configure(**{"litellm_spend.linger": "0"})
    own_cluster.start()
    database = own_schema_database(own_cluster)
    database.wait_folded()
    database.wait_for("SELECT worker FROM litellm_spend.status", "idle")
    yield database


def test_a_database_that_allows_no_connections_is_folded_once_it_does(idle_database: Database) -> None:
    database, cluster = idle_database, idle_database.cluster
    database.query("SELECT 1")
    cluster.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
    records = spend_records(3)
    database.record(records)
    database.wait_for(HELD, "held")
    assert "does not allow connections" in database.status()["last_error"]
    cluster.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    assert_counted(database, records)
    database.wait_for("SELECT last_error IS NULL FROM litellm_spend.status", True)
    # No process was started in vain.
    assert "not currently accepting connections" not in cluster.log()


def test_a_worker_that_cannot_start_is_tried_ever_more_seldom(idle_database: Database) -> None:
    database, cluster = idle_database, idle_database.cluster
    locale = f"UPDATE pg_database SET datctype = %s WHERE datname = '{database.name}'"
    [(good,)] = cluster.query(f"SELECT datctype FROM pg_database WHERE datname = '{database.name}'")
    database.query("SELECT 1")
    cluster.execute(locale, ("nosuch",))
    records = spend_records(3)
    database.record(records)

    def failed_starts() -> list[datetime]:
        lines = re.findall(r"^(\S+ \S+) \S+ \[\d+\] .*FATAL:  database locale is incompat", cluster.log(), re.MULTILINE)
        return [datetime.fromisoformat(line) for line in lines]

    wait_until(lambda: len(failed_starts()) >= 6, what="the worker to be tried six times")
    starts = failed_starts()
    first, fifth = starts[1] - starts[0], starts[5] - starts[4]
    assert fifth > 4 * first, starts
    database.wait_for(HELD, "held")
    assert "could not start" in database.status()["last_error"]
    cluster.execute(locale, (good,))
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    assert_counted(database, records)


def test_a_dropped_database_is_forgotten_while_a_worker_is_wanted_in_it(idle_database: Database) -> None:
    database, cluster = idle_database, idle_database.cluster
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"')
    with database.connect() as session:
        session.execute("SELECT litellm_record_spend(%s)", (Jsonb(spend_records(3)),))
    database.wait_for(HELD, "held")
    database.close()
    # Once, without FORCE: a held worker is not connected between two tries.
    cluster.execute(f'DROP DATABASE "{database.name}"')
    other = own_schema_database(cluster)
    records = spend_records(2)
    other.record(records)
    other.wait_folded()
    assert_counted(other, records)
