"""CREATE and DROP of the extension and of its database, with a worker at work in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conftest import new_database, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_records
from harness.waiting import wait_until


@pytest.fixture
def bare_cluster() -> Iterator[Cluster]:
    """A server from initdb, where the extension has never been created, so its role does not exist."""
    with Cluster(initdb=[]) as cluster:
        yield cluster


def test_drop_extension_while_the_worker_runs_and_create_again(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.record(spend_records(3_000, "before"))
    database.execute("DROP EXTENSION litellm_spend")
    assert counted(database) <= 3_000
    database.execute('TRUNCATE "LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend", "LiteLLM_DailyTeamSpend"')
    database.execute('TRUNCATE "LiteLLM_DailyTagSpend", "LiteLLM_UserTable", "LiteLLM_TeamTable" CASCADE')
    database.execute('TRUNCATE "LiteLLM_TagTable" CASCADE')
    database.execute("CREATE EXTENSION litellm_spend")
    records = spend_records(10, "after")
    database.record(records)
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 10)
    assert_counted(database, records)
    assert own_cluster.crashes() == []


def test_drop_extension_keeps_what_was_counted_and_the_tables(database: Database) -> None:
    records = spend_records(5)
    database.record(records)
    database.wait_folded()
    database.execute("DROP EXTENSION litellm_spend")
    assert_counted(database, records)


def test_create_extension_starts_the_worker_without_a_restart(empty_database: Database) -> None:
    empty_database.execute("CREATE EXTENSION litellm_spend")
    empty_database.query("SELECT * FROM litellm_spend.create_tables()")
    empty_database.record(spend_records(1))
    empty_database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 1, deadline=10)


def test_drop_database_without_force_succeeds_soon_after_recording(cluster: Cluster) -> None:
    database = new_database(cluster)
    database.record(spend_records(10))
    database.wait_folded()
    database.close()

    def dropped() -> bool:
        try:
            cluster.execute(f'DROP DATABASE "{database.name}"')
        except psycopg.errors.ObjectInUse:
            return False
        return True

    wait_until(dropped, deadline=15, what="DROP DATABASE to find nobody connected")


def test_drop_database_with_force_in_the_middle_of_a_backlog_harms_no_other_database(own_cluster: Cluster) -> None:
    doomed, other = new_database(own_cluster), new_database(own_cluster)
    doomed.record(spend_records(5_000))
    doomed.close()
    own_cluster.drop_database(doomed.name)
    records = spend_records(10)
    other.record(records)
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 10)
    assert_counted(other, records)
    assert own_cluster.crashes() == []


def test_a_second_database_gets_the_extension_although_the_role_exists(
    empty_database: Database, other_database: Database
) -> None:
    assert other_database.value("SELECT count(*) FROM pg_roles WHERE rolname = 'litellm_spend_writer'") == 1
    empty_database.execute("CREATE EXTENSION litellm_spend")
    for each in (empty_database, other_database):
        assert each.value("SELECT count(*) FROM pg_roles WHERE rolname = 'litellm_spend_writer'") == 1


def test_create_extension_accepts_a_role_of_that_name(bare_cluster: Cluster) -> None:
    bare_cluster.execute("CREATE ROLE litellm_spend_writer")
    database = own_schema_database(bare_cluster)
    records = spend_records(2)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
def test_two_concurrent_create_extensions_both_succeed(bare_cluster: Cluster, outcome: str) -> None:
    first, second = (new_database(bare_cluster, template="template1", extension=False) for _ in range(2))
    with ThreadPoolExecutor() as pool, first.connect() as session:
        session.execute("BEGIN")
        session.execute("CREATE EXTENSION litellm_spend")
        concurrent = pool.submit(second.execute, "CREATE EXTENSION litellm_spend")
        waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
        wait_until(lambda: concurrent.done() or first.value(waiting), what="the second to wait for the first")
        session.execute(outcome)
        concurrent.result(timeout=60)
    if outcome == "ROLLBACK":
        first.execute("CREATE EXTENSION litellm_spend")
    for database in (first, second):
        database.query("SELECT * FROM litellm_spend.create_tables()")
        records = spend_records(2)
        database.record(records)
        database.wait_folded()
        assert_counted(database, records)


def test_create_extension_refuses_a_database_that_is_not_utf8_and_says_why(cluster: Cluster) -> None:
    cluster.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(psycopg.errors.FeatureNotSupported) as error:
            cluster.execute("CREATE EXTENSION litellm_spend", database="ascii")
        assert "UTF8" in str(error.value) and "ENCODING" in (error.value.diag.message_hint or "")
    finally:
        cluster.drop_database("ascii")
