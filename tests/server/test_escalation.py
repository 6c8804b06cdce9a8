"""A database shared with people who may not trust each other: nothing that they plant runs with the fold's power."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from conftest import Tell, discard, new_database
from harness.attacks import ATTEMPTS, CARRIERS, SHADOWS, WITNESS
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record

OWNER, LOW = "escalation_owner", "escalation_low"
TABLES = {"SpendLogs": "request_id", "UserTable": "user_id", "DailyUserSpend": "user_id"}
SECTION = "attempts to run with the fold's power"


@pytest.fixture(scope="module")
def attacked(cluster: Cluster) -> Iterator[Database]:
    """LiteLLM's tables owned by an ordinary role, and names of pg_catalog's planted before CREATE EXTENSION."""
    cluster.execute(f"CREATE ROLE {OWNER} LOGIN; CREATE ROLE {LOW} LOGIN")
    database = new_database(cluster, extension=False)
    database.execute(WITNESS)
    with database.connect() as connection:
        connection.cursor().executemany("INSERT INTO planted.attempts (name, sql) VALUES (%s, %s)", ATTEMPTS.items())
    database.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}, {LOW}")
    with database.connect(user=LOW) as low:
        low.execute(SHADOWS.format(schema="public"))
    for table in TABLES:
        database.execute(f'ALTER TABLE "LiteLLM_{table}" OWNER TO {OWNER}')
    database.execute("CREATE EXTENSION litellm_spend")
    yield database
    discard(database)
    cluster.execute(f"DROP ROLE {OWNER}; DROP ROLE {LOW}")


@pytest.fixture(scope="module")
def carriers(attacked: Database) -> None:
    assert_no_superuser(attacked)
    # A session of its own: one of a superuser after SET ROLE could go back.
    with attacked.connect(user=OWNER) as connection:
        for table, column in TABLES.items():
            for plant in CARRIERS.values():
                connection.execute(plant.format(table=f'"LiteLLM_{table}"', column=column))
    assert_no_superuser(attacked)


def assert_no_superuser(database: Database) -> None:
    assert database.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", LOW) is False


def assert_nothing_climbed(database: Database) -> None:
    assert database.query("SELECT * FROM planted.witness WHERE outcome = 'DONE'") == []
    assert database.query("SELECT DISTINCT who FROM planted.witness") == [(OWNER,)]
    assert_no_superuser(database)


def matrix(database: Database) -> list[str]:
    rows = database.query(
        "SELECT carrier, string_agg(DISTINCT who, ','), string_agg(DISTINCT attempt || ' ' || outcome, '; ') "
        "FROM planted.witness GROUP BY carrier ORDER BY carrier"
    )
    return [f"{carrier} (as {who}): {outcomes}" for carrier, who, outcomes in rows]


@pytest.mark.parametrize("way", ["worker", "fold"])
def test_what_the_owner_plants_runs_as_the_owner(attacked: Database, carriers: None, tell: Tell, way: str) -> None:
    attacked.execute("TRUNCATE planted.witness")
    record = spend_record()
    attacked.record(record)
    if way == "fold":
        attacked.fold()
    attacked.wait_folded()
    assert attacked.value('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE request_id = %s', record["request_id"]) == 1
    assert {carrier for (carrier,) in attacked.query("SELECT DISTINCT carrier FROM planted.witness")} == set(CARRIERS)
    assert_nothing_climbed(attacked)
    tell(SECTION, f"through {way}:", *matrix(attacked))


def test_no_object_of_the_extension_uses_what_was_planted(attacked: Database) -> None:
    """Views and defaults keep what their names meant at CREATE EXTENSION."""
    planted = """
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0), pg_describe_object(d.refclassid, d.refobjid, 0)
        FROM pg_depend d, LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) AS used,
             LATERAL pg_identify_object(d.classid, d.objid, 0) AS by
        WHERE used.schema = 'public' AND by.identity LIKE '%%litellm_spend%%'"""
    assert attacked.query(planted) == []


def test_a_writers_temporary_objects_are_not_used(attacked: Database) -> None:
    attacked.execute(f"GRANT litellm_spend_writer TO {LOW}")
    attacked.execute("TRUNCATE planted.witness")
    with attacked.connect(user=LOW) as low:
        low.execute(SHADOWS.format(schema="pg_temp"))
        payload = '{"spend": 1}'
        with pytest.raises(psycopg.Error):
            low.execute("SELECT public.litellm_record_spend(%s::pg_catalog.jsonb)", (payload,))
        reject = "SELECT public.litellm_record_spend(%s::pg_catalog.jsonb, 'reject')"
        assert low.execute(reject, (payload,)).fetchone() == (0,)
        assert low.execute("SELECT count(*) FROM pg_temp.rejected").fetchone() == (0,)
    assert attacked.query("SELECT who FROM planted.witness WHERE who NOT IN (%s)", LOW) == []


@pytest.mark.parametrize("role", ["escalation_writer", "escalation_nobody"])
def test_every_object_of_the_schema_is_closed(cluster: Cluster, attacked: Database, role: str) -> None:
    cluster.execute(f"CREATE ROLE {role} {'IN ROLE litellm_spend_writer' if 'writer' in role else ''}")
    schema = "litellm_spend"
    try:
        relations = f"""
            SELECT c.relname FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace AND CASE c.relkind
                WHEN 'S' THEN has_sequence_privilege('{role}', c.oid, 'USAGE, SELECT, UPDATE')
                WHEN 'i' THEN false
                ELSE has_table_privilege('{role}', c.oid,
                                         'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                     OR has_any_column_privilege('{role}', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END"""
        functions = f"""
            SELECT p.proname FROM pg_proc p WHERE has_function_privilege('{role}', p.oid, 'EXECUTE')
            AND (p.pronamespace = '{schema}'::regnamespace OR p.proname = 'litellm_record_spend')"""
        assert attacked.query(relations) == []
        assert attacked.query(functions) == ([("litellm_record_spend",)] if "writer" in role else [])
        assert attacked.value(f"SELECT has_schema_privilege('{role}', '{schema}', 'USAGE, CREATE')") is False
    finally:
        cluster.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "plant",
    [
        "CREATE SCHEMA litellm_spend AUTHORIZATION escalation_low",
        "SET ROLE escalation_low; CREATE FUNCTION public.litellm_record_spend(jsonb, text) RETURNS bigint "
        "LANGUAGE sql AS 'SELECT 1::bigint'",
    ],
    ids=["schema", "function"],
)
def test_the_extension_takes_over_nobodys_object(
    attacked: Database, empty_database: Database, plant: str, tell: Tell
) -> None:
    empty_database.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {LOW}")
    empty_database.execute(plant)
    empty_database.execute("RESET ROLE")
    with pytest.raises(psycopg.Error) as error:
        empty_database.execute("CREATE EXTENSION litellm_spend")
    tell(SECTION, f"planted before CREATE EXTENSION: {str(error.value).splitlines()[0]}")
    assert empty_database.query("SELECT FROM pg_extension WHERE extname = 'litellm_spend'") == []
