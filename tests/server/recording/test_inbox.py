"""litellm_spend.inbox: tools that can only INSERT or COPY record through this view, and a bad row costs only itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records

INSERT = "INSERT INTO litellm_spend.inbox (payload) VALUES (%s)"
COPY = "COPY litellm_spend.inbox (payload) FROM STDIN"


def copy(connection: psycopg.Connection, *rows: str | None) -> int:
    """COPY the rows in one statement. Returns how many the server says it took."""
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copying:
            for row in rows:
                copying.write_row((row,))
        return cursor.rowcount


@pytest.fixture
def shipper(cluster: Cluster, database: Database) -> Iterator[psycopg.Connection]:
    """A session of a role that may insert into the inbox and nothing else."""
    cluster.execute("CREATE ROLE shipper LOGIN")
    try:
        database.execute("GRANT USAGE ON SCHEMA litellm_spend TO shipper")
        database.execute("GRANT INSERT ON litellm_spend.inbox TO shipper")
        with database.connect(user="shipper") as connection:
            yield connection
        database.execute("REVOKE INSERT ON litellm_spend.inbox FROM shipper")
        database.execute("REVOKE USAGE ON SCHEMA litellm_spend FROM shipper")
    finally:
        cluster.execute("DROP ROLE shipper")


def test_rows_of_a_copy_are_counted_for_a_role_that_may_only_insert(
    database: Database, shipper: psycopg.Connection
) -> None:
    records = spend_records(30)
    array, *objects = [json.dumps(records[:10]), *map(json.dumps, records[10:])]
    assert copy(shipper, array, *objects) == 21
    database.wait_folded()
    assert_counted(database, records)
    for view in ("inbox", "rejected", "staging"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shipper.execute(f"SELECT * FROM litellm_spend.{view}")


def test_inserts_prepared_by_the_server_and_with_many_rows_are_counted(
    database: Database, shipper: psycopg.Connection
) -> None:
    records = spend_records(12)
    for record in records[:10]:
        shipper.execute(INSERT, (json.dumps(record),), prepare=True)
    shipper.execute(f"{INSERT}, (%s)", tuple(map(json.dumps, records[10:])))
    database.wait_folded()
    assert_counted(database, records)


def test_an_insert_of_events_as_rows_of_the_view_is_counted(database: Database, shipper: psycopg.Connection) -> None:
    records = spend_records(3)
    events = json.dumps([{"payload": json.dumps(record)} for record in records])
    rows = "jsonb_populate_recordset(NULL::litellm_spend.inbox, %s::jsonb)"
    shipper.execute(f"INSERT INTO litellm_spend.inbox SELECT * FROM {rows}", (events,))
    database.wait_folded()
    assert_counted(database, records)


def test_a_file_with_a_record_a_line_is_copied_as_csv(database: Database) -> None:
    records = [spend_record(request_id=f'r-{n} "\\ ,\t', user="ü\n") for n in range(3)]
    options = "(FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')"
    lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
    statement = f"COPY litellm_spend.inbox FROM STDIN WITH {options}"
    with database.connect() as connection, connection.cursor() as cursor, cursor.copy(statement) as copying:
        copying.write(lines)
    database.wait_folded()
    assert_counted(database, records)


def test_an_insert_returns_its_rows_and_the_view_stays_empty(database: Database) -> None:
    payload = json.dumps(spend_record())
    assert database.query(f"{INSERT} RETURNING payload", payload) == [(payload,)]
    assert database.query("SELECT * FROM litellm_spend.inbox") == []


def test_rows_are_staged_in_the_transaction_of_their_caller(database: Database) -> None:
    kept, *_ = records = spend_records(3)
    with database.connect(autocommit=False) as connection:
        copy(connection, json.dumps(kept))
        connection.execute("SAVEPOINT s")
        copy(connection, json.dumps(records[1]))
        connection.execute("ROLLBACK TO s")
        connection.commit()
        copy(connection, json.dumps(records[2]), "no JSON")
        connection.rollback()
    database.wait_folded()
    assert_counted(database, [kept])
    assert database.query("SELECT * FROM litellm_spend.rejected") == []


NO_JSON = "no json sk-secret"
# case: (the row, its SQLSTATE in litellm_spend.rejected, what is kept of it)
BAD: dict[str, tuple[str | None, str, Any]] = {
    "text that is no JSON": (NO_JSON, "22P02", {"type": "text", "length": len(NO_JSON)}),
    "half a record": ('{"request_id": "r', "22P02", {"type": "text", "length": 17}),
    "an empty line": ("", "22P02", {"type": "text", "length": 0}),
    "NaN": ('{"spend": NaN}', "22P02", {"type": "text", "length": 14}),
    "a number beyond a float": ('{"spend": 1e999}', "22P02", {"type": "text", "length": 16}),
    "nesting without end": ("[" * 100_000, "22P02", {"type": "text", "length": 100_000}),
    "NULL": (None, "22004", None),
    "a string": ('"sk-secret"', "22023", {"type": "string", "length": 9}),
    "no request id": ('{"spend": 1, "prompt": "sk-secret"}', "22004", {"spend": 1}),
    "a cost that is text": (json.dumps(spend_record(spend="1", request_id="r")), "22023", ...),
}


@pytest.mark.parametrize(("row", "sqlstate", "kept"), BAD.values(), ids=BAD)
def test_a_bad_row_is_rejected_and_the_rows_around_it_are_counted(
    shared_database: Database, row: str | None, sqlstate: str, kept: Any
) -> None:
    database = shared_database
    database.execute("TRUNCATE litellm_spend.rejected")
    good = spend_records(2, prefix=f"beside {sqlstate} {kept}"[:60])
    with database.connect() as connection:
        assert copy(connection, json.dumps(good[0]), row, json.dumps(good[1])) == 3
    database.wait_folded()
    ids = [record["request_id"] for record in good]
    logged = 'SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE request_id = ANY(%s)'
    assert database.value(logged, ids) == 2
    [rejected] = database.rows("SELECT * FROM litellm_spend.rejected")
    assert rejected["sqlstate"] == sqlstate
    assert kept is ... or rejected["payload"] == kept
    assert "sk-secret" not in str(rejected)


def test_a_bad_element_of_an_array_is_named_by_its_index_and_key(database: Database) -> None:
    good = spend_records(2)
    wrong = spend_record(spend="1")
    database.execute(INSERT, json.dumps([good[0], wrong, good[1]]))
    database.wait_folded()
    assert_counted(database, good)
    [(message, detail)] = database.query("SELECT message, detail FROM litellm_spend.rejected")
    assert message.startswith('"spend" of the spend record is not')
    assert detail == 'Array element 1, key "spend".'


def test_nul_is_dropped_and_of_duplicate_keys_the_last_one_counts(database: Database) -> None:
    record = spend_record(user="al\0ice", team_id="team-a")
    text = json.dumps(record)
    assert "\\u0000" in text
    database.execute(INSERT, text.replace('"spend": 0.25', '"spend": 7, "spend": 0.25'))
    database.wait_folded()
    assert_counted(database, [record])
    assert database.query('SELECT user_id FROM "LiteLLM_UserTable"') == [("alice",)]


def test_a_record_that_is_too_large_for_jsonb_is_counted(database: Database) -> None:
    good = spend_record()
    too_large = spend_record(metadata={"spend_logs_metadata": {"numbers": ["many"]}})
    # Python would take seconds to write such a long list.
    huge = json.dumps(too_large).replace('"many"', ",".join("1" * (17 * 1024 * 1024)))
    with database.connect() as connection:
        copy(connection, json.dumps(good), huge)
    database.wait_folded()
    assert_counted(database, [good, too_large])
    lost = "SELECT metadata -> 'litellm_spend_dropped' FROM \"LiteLLM_SpendLogs\" WHERE request_id = %s"
    assert database.value(lost, too_large["request_id"]) == ["metadata.spend_logs_metadata"]


def test_the_search_path_of_the_caller_means_nothing(database: Database) -> None:
    record = spend_record()
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA evil")
        connection.execute("CREATE FUNCTION evil.unnest(jsonb[]) RETURNS SETOF jsonb RETURN NULL::jsonb")
        connection.execute("CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz RETURN NULL::timestamptz")
        connection.execute("SET search_path TO evil, litellm_spend, pg_catalog")
        connection.execute("INSERT INTO inbox VALUES (%s), ('no JSON')", (json.dumps(record),))
    database.wait_folded()
    assert_counted(database, [record])
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 1
