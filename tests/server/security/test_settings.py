"""Only a superuser may set where and with which power spend is written. A typo is refused."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record

CREATE_MISSING = "SET litellm_spend.create_missing = {}"


@pytest.fixture(scope="module")
def owner(cluster: Cluster, shared_database: Database) -> Iterator[str]:
    """A role that owns the database and a schema in it, and is no superuser."""
    cluster.execute("CREATE ROLE db_owner LOGIN CREATEROLE IN ROLE litellm_spend_writer")
    cluster.execute(f'ALTER DATABASE "{shared_database.name}" OWNER TO db_owner')
    shared_database.execute("CREATE SCHEMA elsewhere AUTHORIZATION db_owner")
    yield "db_owner"
    cluster.execute(f'ALTER DATABASE "{shared_database.name}" OWNER TO postgres')
    shared_database.execute("DROP OWNED BY db_owner")
    cluster.execute("DROP ROLE db_owner")


def settings(database: Database) -> list[tuple[str, str]]:
    # A session loads the library at its first call.
    database.query("SELECT * FROM litellm_spend.worker_state()")
    return database.query("SELECT name, setting FROM pg_settings WHERE name LIKE 'litellm_spend.%' ORDER BY name")


def test_no_setting_may_be_changed_by_who_is_no_superuser_in_any_way(shared_database: Database, owner: str) -> None:
    names = settings(shared_database)
    assert "litellm_spend.target_schema" in dict(names) and len(names) > 10
    ways = (
        "SET {} = {}",
        "SET LOCAL {} = {}",
        f'ALTER DATABASE "{shared_database.name}" SET {{}} = {{}}',
        f"ALTER ROLE {owner} SET {{}} = {{}}",
        f'ALTER ROLE {owner} IN DATABASE "{shared_database.name}" SET {{}} = {{}}',
        "CREATE FUNCTION elsewhere.f() RETURNS void LANGUAGE sql SET {} = {} AS ''",
        "ALTER SYSTEM SET {} = {}",
    )
    allowed = []
    with shared_database.connect(user=owner) as session:
        for name, value in names:
            for way in ways:
                try:
                    session.execute(way.format(name, f"'{value}'"))
                except psycopg.Error as error:
                    # 55P02: only the server's configuration may set it.
                    if error.sqlstate in ("42501", "55P02"):
                        continue
                    raise
                allowed.append(way.format(name, value))
    assert allowed == []


def test_options_of_a_connection_change_nothing(shared_database: Database, owner: str) -> None:
    for name, value in settings(shared_database):
        with pytest.raises(psycopg.OperationalError, match=r"permission denied|cannot be"):
            shared_database.connect(user=owner, options=f"-c {name}={value.replace(' ', chr(92) + ' ')}")


def test_where_the_library_is_not_preloaded_a_setting_made_before_it_loads_is_dropped(
    unloaded_cluster: Cluster,
) -> None:
    unloaded_cluster.execute("CREATE EXTENSION litellm_spend")
    unloaded_cluster.execute("CREATE ROLE app LOGIN IN ROLE litellm_spend_writer, pg_monitor")
    for options in ({}, {"options": "-c litellm_spend.target_schema=elsewhere"}):
        with unloaded_cluster.connect(user="app", **options) as session:
            if not options:
                session.execute("SET litellm_spend.target_schema = 'elsewhere'")
            session.execute("SELECT * FROM litellm_spend.worker_state()")
            assert session.execute("SHOW litellm_spend.target_schema").fetchone() == ("public",)


@pytest.mark.parametrize("value", ["'usr'", "'user, tags'", "'user,,team'", "'User'", "'user team'"])
def test_create_missing_refuses_a_word_that_names_no_kind(shared_database: Database, value: str) -> None:
    settings(shared_database)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as error:
        shared_database.execute(CREATE_MISSING.format(value))
    assert "model_access_group" in (error.value.diag.message_hint or "")


@pytest.mark.parametrize(
    "value", ["''", "' '", "'user'", "'user , team'", "'agent,key,project,model_access_group'", "DEFAULT"]
)
def test_create_missing_takes_every_list_of_kinds(shared_database: Database, value: str) -> None:
    shared_database.execute(CREATE_MISSING.format(value))
    shared_database.execute("RESET litellm_spend.create_missing")


def test_a_wrong_word_in_the_servers_configuration_keeps_the_setting_that_was(
    cluster: Cluster, database: Database
) -> None:
    with (cluster.data / "postgresql.auto.conf").open("a") as conf:
        conf.write("litellm_spend.create_missing = 'usr'\n")
    try:
        cluster.execute("SELECT pg_reload_conf()")
        record = spend_record()
        database.record(record)
        database.wait_folded()
        assert_counted(database, [record])
    finally:
        cluster.execute("ALTER SYSTEM RESET litellm_spend.create_missing")
        cluster.execute("SELECT pg_reload_conf()")
