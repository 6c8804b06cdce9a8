"""A logical subscriber that also has the extension holds what its publisher counted, and counts nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records, totals

# Postgres waits at least this long before it copies the next table, and there are many.
SOON = {"wal_retrieve_retry_interval": "10 ms", "max_sync_workers_per_subscription": "4"}
REPLAYED = """SELECT coalesce(bool_and(confirmed_flush_lsn >= '{}'::pg_lsn), false)
    FROM pg_replication_slots WHERE slot_name = 'spend'"""


@pytest.fixture
def publisher() -> Iterator[Database]:
    with Cluster({"wal_level": "logical"}) as cluster:
        yield own_schema_database(cluster)


@pytest.fixture
def subscriber(publisher: Database) -> Iterator[Database]:
    """A database of another cluster with all of the publisher's tables, including those of litellm_spend.

    Two copies of one cluster would each read the other's rows as their own."""
    with Cluster(SOON, initdb=[]) as cluster:
        yield subscribed(own_schema_database(cluster), publisher)


def subscribed(database: Database, publisher: Database) -> Database:
    publisher.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    database.execute(f"CREATE SUBSCRIPTION spend CONNECTION '{publisher.url}' PUBLICATION everything")
    database.wait_for("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", True)
    return database


def drop_subscription(database: Database) -> None:
    """Stop subscribing as if the publisher were gone: its slot stays there."""
    database.execute("ALTER SUBSCRIPTION spend DISABLE")
    database.execute("ALTER SUBSCRIPTION spend SET (slot_name = NONE)")
    database.execute("DROP SUBSCRIPTION spend")


def wait_for_subscriber(publisher: Database) -> None:
    """Wait until the subscriber has applied all that is committed now."""
    publisher.wait_for(REPLAYED.format(publisher.value("SELECT pg_current_wal_insert_lsn()::text")), True)


def test_a_subscriber_counts_nothing_itself_until_it_takes_the_publishers_place(
    publisher: Database, subscriber: Database
) -> None:
    folded, pending = spend_records(5, "folded"), spend_records(7, "pending")
    publisher.record(folded)
    publisher.wait_folded()
    with closing(publisher.connect(autocommit=False)) as holder:
        holder.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        publisher.record(pending)
        wait_for_subscriber(publisher)
        assert subscriber.value("SELECT count(*) FROM litellm_spend.staging") == 12
        assert subscriber.fold() == 0
        assert_counted(subscriber, folded)
        with pytest.raises(psycopg.Error) as error:
            subscriber.value("SELECT litellm_spend.adopt()")
        assert error.value.sqlstate == "55000"
        assert "DROP SUBSCRIPTION" in error.value.diag.message_hint
    publisher.wait_folded()
    wait_for_subscriber(publisher)
    assert_counted(subscriber, [*folded, *pending])
    assert totals(subscriber) == totals(publisher)
    lost = spend_records(4, "lost")
    with closing(publisher.connect(autocommit=False)) as holder:
        holder.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        publisher.record(lost)
        wait_for_subscriber(publisher)
        publisher.cluster.stop("immediate")
    drop_subscription(subscriber)
    assert subscriber.value("SELECT litellm_spend.adopt()") == 4
    subscriber.wait_folded()
    assert_counted(subscriber, [*folded, *pending, *lost])
