"""The role litellm_spend_writer may only record. No other role may do even that."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records

RECORD = "SELECT litellm_record_spend(%s)"


@pytest.fixture
def writer(cluster: Cluster, database: Database) -> Iterator[psycopg.Connection]:
    """A session of a login role that is a member of litellm_spend_writer."""
    cluster.execute("CREATE ROLE app LOGIN IN ROLE litellm_spend_writer")
    try:
        with database.connect(user="app") as connection:
            yield connection
    finally:
        cluster.execute("DROP ROLE app")


def test_the_writer_role_may_record(database: Database, writer: psycopg.Connection) -> None:
    records = spend_records(3)
    assert writer.execute(RECORD, (Jsonb(records),)).fetchone() == (3,)
    database.wait_folded()
    assert_counted(database, records)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT litellm_spend.fold()",
        "SELECT litellm_spend.flush('1 s')",
        "SELECT * FROM litellm_spend.create_tables()",
        "SELECT * FROM litellm_spend.status",
        "SELECT * FROM litellm_spend.rejected",
        'SELECT * FROM "LiteLLM_SpendLogs"',
        'UPDATE "LiteLLM_UserTable" SET spend = 0',
        "CREATE TABLE public.mine (id int)",
    ],
)
def test_the_writer_role_may_do_nothing_else(writer: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.Error) as error:
        writer.execute(statement)
    assert error.value.sqlstate == "42501"


def test_the_catalogue_grants_the_writer_role_one_function_and_no_relation(database: Database) -> None:
    members = """
        SELECT objid FROM pg_depend JOIN pg_extension e ON e.oid = refobjid AND extname = 'litellm_spend'
        WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid = %s::regclass"""
    functions = f"""
        SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE p.oid IN ({members})
        AND has_function_privilege('litellm_spend_writer', p.oid, 'EXECUTE')
        AND has_schema_privilege('litellm_spend_writer', n.oid, 'USAGE')"""
    assert database.query(functions, "pg_proc") == [("litellm_record_spend",)]
    relations = f"""
        SELECT relname FROM pg_class c WHERE c.oid IN ({members}) AND relkind IN ('r', 'p', 'v', 'm')
        AND has_table_privilege('litellm_spend_writer', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"""
    assert database.query(relations, "pg_class") == []


def test_a_user_without_the_role_may_not_record(cluster: Cluster, database: Database) -> None:
    cluster.execute("CREATE ROLE stranger LOGIN")
    try:
        with database.connect(user="stranger") as connection, pytest.raises(psycopg.Error) as error:
            connection.execute(RECORD, (Jsonb(spend_record()),))
    finally:
        cluster.execute("DROP ROLE stranger")
    assert error.value.sqlstate == "42501"
    assert database.status()["backlog"] == 0
