"""Rejected records that can be counted now are staged again, each once. The others stay."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.types.json import Jsonb

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_record

RETRY = "SELECT litellm_spend.retry_rejected()"
REJECTED = "SELECT id FROM litellm_spend.rejected ORDER BY id"


def refuse(database: Database, *records: dict) -> list[int]:
    """Rejected rows that a fold leaves if the database refuses them. The record itself is valid."""
    insert = """INSERT INTO litellm_spend.rejected (payload, sqlstate, message)
        VALUES (%s, '23514', 'new row violates check constraint') RETURNING id"""
    return [database.value(insert, Jsonb(record)) for record in records]


def test_sound_records_are_counted_and_the_others_stay(database: Database) -> None:
    good = [spend_record(), spend_record()]
    database.record(["no object", 7, {**spend_record(), "startTime": "never"}], "reject")
    kept = database.query("SELECT * FROM litellm_spend.rejected ORDER BY id")
    refuse(database, *good)
    database.execute("INSERT INTO litellm_spend.rejected (sqlstate, message) VALUES ('22023', 'not kept')")
    kept += database.query("SELECT * FROM litellm_spend.rejected WHERE payload IS NULL")
    assert database.value(RETRY) == 2
    assert sorted(database.query("SELECT * FROM litellm_spend.rejected")) == sorted(kept)
    database.wait_folded()
    assert_counted(database, good)
    assert database.value(RETRY) == 0


def test_a_mended_record_is_counted_and_its_key_is_hashed(database: Database) -> None:
    [identifier] = refuse(database, {**spend_record(), "startTime": "never", "api_key": "sk-of-somebody"})
    assert database.value(RETRY) == 0
    database.execute("""UPDATE litellm_spend.rejected SET payload = payload || '{"startTime": 1773500966}'""")
    assert database.value("SELECT litellm_spend.retry_rejected(ARRAY[%s])", identifier) == 1
    database.wait_folded()
    assert len(database.value('SELECT api_key FROM "LiteLLM_SpendLogs"')) == 64


def test_only_the_records_that_were_asked_for(database: Database) -> None:
    records = [spend_record() for _ in range(3)]
    first, second, third = refuse(database, *records)
    assert database.value("SELECT litellm_spend.retry_rejected(ARRAY[%s, NULL, 4711, %s])", first, third) == 2
    assert database.query(REJECTED) == [(second,)]
    assert database.value("SELECT litellm_spend.retry_rejected(ARRAY[]::bigint[])") == 0
    database.wait_folded()
    assert_counted(database, [records[0], records[2]])


def test_more_than_are_read_at_once(database: Database) -> None:
    database.execute(
        "INSERT INTO litellm_spend.rejected (payload, sqlstate, message)"
        """ SELECT %s::jsonb || jsonb_build_object('request_id', 'r' || n, 'litellm_call_id', n::text), '23514', ''
            FROM generate_series(1, 2500) AS n""",
        Jsonb(spend_record()),
    )
    assert database.value(RETRY) == 2500
    database.wait_folded()
    assert counted(database) == 2500 and database.query(REJECTED) == []


def test_a_rolled_back_retry_changes_nothing(database: Database) -> None:
    identifiers = refuse(database, spend_record())
    with database.connect(autocommit=False) as session:
        assert session.execute(RETRY).fetchone() == (1,)
        session.rollback()
    assert [row[0] for row in database.query(REJECTED)] == identifiers
    database.wait_folded()
    assert counted(database) == 0


def test_who_records_may_not_retry(cluster: Cluster, database: Database) -> None:
    cluster.execute("CREATE ROLE retrier LOGIN IN ROLE litellm_spend_writer, pg_monitor")
    try:
        with database.connect(user="retrier") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(RETRY)
    finally:
        cluster.execute("DROP ROLE retrier")
