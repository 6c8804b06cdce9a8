"""Somebody creates objects with our names where the extension is not installed. The worker reads none of them
(invariant 10)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from conftest import Tell, new_database
from harness.attacks import PLANTED_SCHEMA
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record
from harness.waiting import wait_until

LOW = "low_owner"
SECTION = "schemas planted under our name"
STARTED = re.compile(r'starting background worker process "litellm_spend worker"')


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that logs each start of a worker. A role may own a database there and is no superuser."""
    with Cluster({"log_min_messages": "debug1"}) as cluster:
        cluster.execute(f"CREATE ROLE {LOW} LOGIN")
        yield cluster


def owned_database(cluster: Cluster, *, schema: str | None) -> Database:
    """A database of the low role, with LiteLLM's tables, and with the extension in `schema` unless that is None."""
    database = new_database(cluster, extension=False)
    database.execute(f'ALTER DATABASE "{database.name}" OWNER TO {LOW}')
    if schema:
        database.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        database.execute(f"CREATE EXTENSION litellm_spend SCHEMA {schema}")
    return database


def plant(database: Database) -> None:
    with database.connect(user=LOW) as low:
        low.execute(PLANTED_SCHEMA)


def wait_for_visit(cluster: Cluster, starts: int) -> None:
    """Wait until this many more workers than at the server's start have come and gone."""
    wait_until(lambda: len(STARTED.findall(cluster.log())) >= starts, what=f"{starts} starts of workers")
    wait_until(
        lambda: cluster.query("SELECT FROM pg_stat_activity WHERE backend_type = 'litellm_spend worker'") == [],
        what="the workers to leave",
    )


def visit_all(cluster: Cluster, way: str) -> None:
    """Have the launcher visit every database."""
    before = len(STARTED.findall(cluster.log()))
    [(databases,)] = cluster.query("SELECT count(*) FROM pg_database WHERE datallowconn")
    if way == "promotion":
        with Cluster(standby_of=cluster) as standby:
            standby.execute("SELECT pg_promote()")
            wait_for_visit(standby, databases)
            assert_nothing_gained(standby)
    cluster.restart(mode="immediate" if way == "crash" else "fast")
    wait_for_visit(cluster, before + databases)


def assert_nothing_gained(cluster: Cluster) -> None:
    assert cluster.query("SELECT rolsuper FROM pg_roles WHERE rolname = %s", (LOW,)) == [(False,)]
    assert "PLANTED" not in cluster.log()
    assert cluster.crashes() == []


@pytest.mark.parametrize("way", ["restart", "crash", "promotion"])
def test_where_the_extension_never_was(cluster: Cluster, way: str, tell: Tell) -> None:
    database = owned_database(cluster, schema=None)
    plant(database)
    visit_all(cluster, way)
    assert_nothing_gained(cluster)
    tell(SECTION, f"never installed, {way}: nothing ran")


@pytest.mark.parametrize("schema", ["public", "spend_api"])
def test_where_the_extension_was_dropped(cluster: Cluster, schema: str, tell: Tell) -> None:
    database = owned_database(cluster, schema=schema)
    database.execute("DROP EXTENSION litellm_spend")
    plant(database)
    visit_all(cluster, "restart")
    assert_nothing_gained(cluster)
    tell(SECTION, f"dropped from the schema {schema}, restart: nothing ran")


def test_where_the_databases_owner_drops_the_schema_and_the_extension_with_it(cluster: Cluster, tell: Tell) -> None:
    """The fold is held, so that a visit is due."""
    database = owned_database(cluster, schema="public")
    before = len(STARTED.findall(cluster.log()))
    with database.held_fold():
        database.record(spend_record())
        database.wait_for("SELECT last_error IS NOT NULL FROM litellm_spend.status", True)
        cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'spend worker'")
        wait_until(lambda: len(STARTED.findall(cluster.log())) > before)
    database.close()
    with database.connect(user=LOW) as low:
        low.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    assert database.query("SELECT FROM pg_extension WHERE extname = 'litellm_spend'") == []
    plant(database)
    visit_all(cluster, "restart")
    assert_nothing_gained(cluster)
    tell(SECTION, "taken along by DROP SCHEMA public CASCADE of the database's owner, restart: nothing ran")


def test_members_of_the_extension_alone_are_read(cluster: Cluster, tell: Tell) -> None:
    """A database's owner cannot put a view in a table's place, and a table that left the extension is not read."""
    database = owned_database(cluster, schema="public")
    with database.connect(user=LOW) as low:
        for statement in (
            "CREATE VIEW litellm_spend.planted AS SELECT 1",
            "ALTER SCHEMA litellm_spend RENAME TO elsewhere",
            "DROP TABLE litellm_spend.rejected",
            "ALTER EXTENSION litellm_spend DROP TABLE litellm_spend.rejected",
            "DROP EXTENSION litellm_spend",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                low.execute(statement)
            tell(SECTION, f"refused to the database's owner: {statement}")
