"""People who may not trust each other share a database. Nothing that they plant runs with the fold's power."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from conftest import Tell, discard, new_database
from harness.attacks import ATTEMPTS, CARRIERS, CAST_CARRIER, CASTS, OBSTACLES, SHADOWS, USERS, WITNESS
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record

OWNER, LOW = "escalation_owner", "escalation_low"
TABLES = {"SpendLogs": "request_id", "UserTable": "user_id", "DailyUserSpend": "user_id"}
SECTION = "attempts to run with the fold's power"


@contextmanager
def attacked_database(cluster: Cluster) -> Iterator[Database]:
    """An ordinary role owns LiteLLM's tables, and names of pg_catalog were planted before CREATE EXTENSION."""
    cluster.execute(f"CREATE ROLE {OWNER} LOGIN; CREATE ROLE {LOW} LOGIN")
    database = new_database(cluster, extension=False)
    database.execute(WITNESS)
    with database.connect() as connection:
        connection.cursor().executemany("INSERT INTO planted.attempts (name, sql) VALUES (%s, %s)", ATTEMPTS.items())
    database.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}, {LOW}")
    database.execute(f"ALTER TYPE planted.word OWNER TO {LOW}; ALTER FUNCTION planted.to_word OWNER TO {LOW}")
    with database.connect(user=LOW) as low:
        low.execute(SHADOWS.format(schema="public"))
        low.execute(CASTS)
    for table in TABLES:
        database.execute(f'ALTER TABLE "LiteLLM_{table}" OWNER TO {OWNER}')
    database.execute("CREATE EXTENSION litellm_spend")
    yield database
    discard(database)
    cluster.execute(f"DROP ROLE {OWNER}; DROP ROLE {LOW}")


@pytest.fixture(scope="module")
def attacked(cluster: Cluster) -> Iterator[Database]:
    with attacked_database(cluster) as database:
        yield database


@pytest.fixture(scope="module", params=["worker", "fold"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folding(way: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An attacked database where only the worker folds, or only a call of fold(), because its server has no worker."""
    if way == "worker":
        yield request.getfixturevalue("attacked")
        return
    with Cluster({"shared_preload_libraries": ""}) as cluster, attacked_database(cluster) as database:
        yield database


@pytest.fixture(scope="module")
def carriers(folding: Database) -> None:
    assert_no_superuser(folding)
    # This is a session of the role itself: after SET ROLE a superuser's session could go back.
    with folding.connect(user=OWNER) as connection:
        for table, column in TABLES.items():
            for plant in CARRIERS.values():
                connection.execute(plant.format(table=f'"LiteLLM_{table}"', column=column))
        connection.execute(CAST_CARRIER)
    folding.execute("TRUNCATE planted.witness")
    assert_no_superuser(folding)


def fold(database: Database, way: str) -> int:
    """Fold the recorded rows. Returns the process that folded."""
    if way == "fold":
        assert database.fold() > 0
        return database.value("SELECT pg_backend_pid()")
    database.wait_folded()
    return database.status()["worker_pid"]


def refusal(database: Database, way: str) -> str:
    """The message of a fold that cannot run, and its advice."""
    if way == "fold":
        with pytest.raises(psycopg.Error) as error:
            database.fold()
        return f"{error.value.diag.message_primary} {error.value.diag.message_hint}"
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    return database.status()["last_error"]


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


def ran(database: Database, since: int) -> set[tuple[str, str, str]]:
    """(what ran, as whom, what it achieved), even in folds that failed."""
    return set(re.findall(r"planted <(.*?)> ran as <(.*?)> and did <(.*?)>", database.cluster.log()[since:]))


def logged(database: Database, record: dict) -> int:
    return database.value('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE request_id = %s', record["request_id"])


@contextmanager
def planted(database: Database, name: str) -> Iterator[None]:
    plant, mend, *_ = OBSTACLES[name]
    is_view = "view" in name
    with database.connect(user=OWNER) as owner:
        owner.execute(plant)
        try:
            if is_view:
                database.execute(f"ALTER VIEW {USERS} OWNER TO {LOW}; GRANT ALL ON users_kept TO {LOW}")
            yield
        finally:
            if is_view:
                database.execute(f"ALTER VIEW {USERS} OWNER TO {OWNER}")
            owner.execute(mend)


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_stands_between_the_fold_and_a_table_holds_it_and_never_gains(
    folding: Database, way: str, name: str, tell: Tell
) -> None:
    """A view belongs to the low role, and the table behind it to the owner. The server's log shows what ran."""
    _, _, message, advice = OBSTACLES[name]
    user = f"user of {name}"
    first, second = (spend_record(user=user) for _ in range(2))
    folding.record(first)
    fold(folding, way)
    since = len(folding.cluster.log())
    with planted(folding, name):
        folding.record(second)
        told = refusal(folding, way)
        folding.query("SELECT * FROM litellm_spend.targets")
        assert message in told and advice in told
        assert logged(folding, second) == 0
    fold(folding, way)
    assert ran(folding, since) == ({("queueing trigger", OWNER, "")} if "trigger" in message else set())
    assert_no_superuser(folding)
    assert folding.value(f"SELECT spend FROM {USERS} WHERE user_id = %s", user) == 0.5
    assert folding.status()["rejected"] == 0
    tell(SECTION, f"{name}, through {way}: held: {told}")


def test_what_the_owner_plants_runs_as_the_owner(folding: Database, carriers: None, tell: Tell, way: str) -> None:
    record = spend_record(user="of the carriers")
    folding.record(record)
    folder = fold(folding, way)
    assert logged(folding, record) == 1
    assert folding.value(f"SELECT spend FROM {USERS} WHERE user_id = %s", record["user"]) == 0.25
    witnessed = {carrier for (carrier,) in folding.query("SELECT DISTINCT carrier FROM planted.witness")}
    assert witnessed == {*CARRIERS, "cast"}
    assert folding.query("SELECT DISTINCT pid FROM planted.witness") == [(folder,)]
    assert_nothing_climbed(folding)
    tell(SECTION, f"through {way}:", *matrix(folding))


def test_operators_among_the_temporary_objects_of_the_session_that_folds_are_not_used(folding: Database) -> None:
    since = len(folding.cluster.log())
    record = spend_record(user="of the temporary objects")
    with folding.connect() as session:
        session.execute(f"SET ROLE {LOW}; {SHADOWS.format(schema='pg_temp')}; RESET ROLE")
        folding.record([record, spend_record(user=record["user"])])
        session.execute("SELECT litellm_spend.fold()")
    assert folding.value(f"SELECT spend FROM {USERS} WHERE user_id = %s", record["user"]) == 0.5
    assert "shadow" not in {carrier for carrier, *_ in ran(folding, since)}


def test_no_object_of_the_extension_uses_what_was_planted(attacked: Database) -> None:
    """Views and defaults keep the objects that their names meant at CREATE EXTENSION."""
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
