"""A statement stays out of the server log only if Postgres has let it through to the recorder or the inbox."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record

NEVER = "(1 / (random() * 0)::int)"
# Each statement names the recorder or the inbox, and none of them gets there.
VISIBLE = {
    "a comment": "SELECT 1 / 0 AS a_comment /* litellm_record_spend */",
    "a comment that names the inbox": "SELECT 1 / 0 AS a_name -- litellm_spend.inbox",
    "an alias": 'SELECT 1 / 0 AS "litellm_record_spend"',
    "a literal": "SELECT 'litellm_record_spend', 1 / 0 AS a_literal",
    "another function of that name": f"SELECT mine.litellm_record_spend('x'), {NEVER} AS another_function",
    "a view named as the inbox": f"INSERT INTO mine.inbox SELECT {NEVER} /* litellm_spend.inbox */",
    "a forbidden table": "SELECT /* litellm_record_spend */ * FROM pg_authid",
    "a call that is never made": f"SELECT {NEVER} WHERE false AND litellm_record_spend(NULL) > 0 OR true",
    "a forbidden call": f"SELECT {NEVER}, litellm_record_spend('{{}}') AS a_forbidden_call",
    "a forbidden insert": f"INSERT INTO litellm_spend.inbox VALUES ('x' || {NEVER})",
    "a forbidden look": f"SELECT {NEVER} AS a_look FROM litellm_spend.inbox",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with Cluster() as cluster:
        cluster.execute("CREATE ROLE anybody LOGIN")
        cluster.execute("CREATE ROLE recorder LOGIN IN ROLE litellm_spend_writer")
        cluster.execute("CREATE ROLE shipper LOGIN")
        yield cluster


@pytest.fixture(scope="module")
def database(server: Cluster) -> Database:
    database = own_schema_database(server)
    database.execute("GRANT USAGE ON SCHEMA litellm_spend TO shipper; GRANT INSERT ON litellm_spend.inbox TO shipper")
    plant(database)
    return database


@pytest.fixture(scope="module")
def bare(server: Cluster) -> Database:
    """A database where the extension is not installed."""
    server.create_database("bare")
    database = Database(server, "bare")
    plant(database)
    return database


def plant(database: Database) -> None:
    database.execute("CREATE SCHEMA mine AUTHORIZATION anybody")
    with database.connect(user="anybody") as connection:
        connection.execute(
            "CREATE FUNCTION mine.litellm_record_spend(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'"
        )
        connection.execute("CREATE TABLE mine.box (payload int)")
        connection.execute("CREATE VIEW mine.inbox AS SELECT payload FROM mine.box")
        connection.execute("GRANT USAGE ON SCHEMA mine TO PUBLIC; GRANT INSERT ON mine.inbox TO PUBLIC")


def logged(database: Database, statement: str, user: str, *arguments: object) -> str:
    """What the server logs of a failing statement that is the first one of its session."""
    before = len(database.cluster.log())
    with database.connect(user=user) as connection, pytest.raises(psycopg.Error) as error:
        connection.execute(statement, arguments or None)
    after = database.cluster.log()[before:]
    assert error.value.diag.message_primary in after
    return after


@pytest.mark.parametrize("case", VISIBLE)
def test_to_name_the_recorder_hides_nothing(database: Database, case: str) -> None:
    assert f"STATEMENT:  {VISIBLE[case]}" in logged(database, VISIBLE[case], "anybody")


@pytest.mark.parametrize("case", VISIBLE)
def test_nor_does_it_where_the_extension_is_not_installed(bare: Database, case: str) -> None:
    assert f"STATEMENT:  {VISIBLE[case]}" in logged(bare, VISIBLE[case], "anybody")


@pytest.mark.parametrize("case", ["a comment", "an alias", "another function of that name", "a forbidden table"])
def test_nor_does_it_for_a_role_that_may_record(database: Database, case: str) -> None:
    assert f"STATEMENT:  {VISIBLE[case]}" in logged(database, VISIBLE[case], "recorder")


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("recorder", f"SELECT litellm_record_spend(('{{\"n33dle\": ' || {NEVER})::jsonb)"),
        ("recorder", "SELECT litellm_record_spend(p) FROM (VALUES (('[\"n33dle' || random())::jsonb)) AS v (p)"),
        ("recorder", "SELECT * FROM litellm_record_spend(('n33dle' || random())::jsonb)"),
        ("recorder", "DO $$ BEGIN PERFORM litellm_record_spend(('n33dle' || random())::jsonb); END $$"),
        ("shipper", f"INSERT INTO litellm_spend.inbox VALUES ('n33dle' || {NEVER})"),
        ("shipper", f"INSERT INTO litellm_spend.inbox SELECT 'n33dle' || {NEVER}"),
    ],
)
def test_a_statement_that_fails_before_its_record_is_read_is_hidden(
    database: Database, user: str, statement: str
) -> None:
    text = logged(database, statement, user)
    assert "STATEMENT" not in text and "CONTEXT" not in text


def test_the_inbox_is_known_by_whatever_name_it_is_found(database: Database) -> None:
    database.execute("CREATE VIEW mail AS SELECT payload FROM litellm_spend.inbox")
    database.execute("GRANT INSERT ON mail TO recorder")
    assert "STATEMENT" not in logged(database, f"INSERT INTO mail VALUES ('n33dle' || {NEVER})", "recorder")
    with database.connect(user="shipper") as connection:
        connection.execute("SET search_path = litellm_spend")
        before = len(database.cluster.log())
        with pytest.raises(psycopg.Error):
            connection.execute(f"INSERT INTO inbox VALUES ('n33dle' || {NEVER})")
    assert "STATEMENT" not in database.cluster.log()[before:]


def test_a_line_that_copy_refuses_is_not_logged(database: Database) -> None:
    before = len(database.cluster.log())
    with (
        database.connect(user="shipper") as connection,
        pytest.raises(psycopg.Error),
        connection.cursor().copy("COPY litellm_spend.inbox FROM STDIN") as copy,
    ):
        copy.write("n33dle\tand a second column\n")
    assert "n33dle" not in database.cluster.log()[before:]


def test_a_hidden_statement_hides_no_other_one(database: Database) -> None:
    with database.connect(user="recorder") as connection:
        connection.execute("SELECT litellm_record_spend(%s::jsonb)", (psycopg.types.json.Jsonb(spend_record()),))
        before = len(database.cluster.log())
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / 0 AS ordinary")
    assert "STATEMENT:  SELECT 1 / 0 AS ordinary" in database.cluster.log()[before:]
