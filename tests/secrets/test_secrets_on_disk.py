"""Raw keys and prompts, sent in every way that can go wrong, are in no file of the server afterwards."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import psycopg
import pytest
from leaks import key_records, other_records, rejected_elements
from needles import Needles

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record

# As the callback of python/ sends it: the payload is a bound parameter.
RECORD = "SELECT litellm_record_spend(%s::jsonb, %s)"
COPY = "COPY litellm_spend.inbox FROM STDIN"
# Fields that litellm_spend.store_prompts lets through.
STORED_ON_REQUEST = {
    "messages",
    "messages as JSON text",
    "response",
    "response as text",
    "proxy_server_request",
    "messages of a rejected object",
}
CONTROL = "spend_logs_metadata, the control"


def record(connection: psycopg.Connection, payload: Any, on_invalid: str) -> int:
    [(staged,)] = connection.execute(RECORD, (json.dumps(payload), on_invalid)).fetchall()
    return staged


def test_no_raw_key_and_no_prompt_is_in_any_file_of_the_server(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    needles = Needles()
    keys, others, rejected = key_records(needles), other_records(needles), rejected_elements(needles)
    control = spend_record(metadata={"spend_logs_metadata": {"note": needles.prompt(CONTROL)}})
    valid = [*keys.values(), *others, control]
    with database.connect() as connection:
        assert record(connection, [*valid, *rejected], "reject") == len(valid)
        for element in rejected:
            with pytest.raises(psycopg.Error) as error:
                record(connection, [*valid, element], "error")
            assert "n33dle" not in str(error.value)
    database.wait_folded()

    assert_all_was_processed(database, list(keys), len(valid), len(rejected))
    found = needles.find(own_cluster)
    # The search finds the prompts that the user asked to store in a table and in WAL, so it would find others too.
    places = {file.split("/")[1] for file in found.pop(CONTROL, [])}
    assert places >= {"base", "pg_wal"}
    assert found == {}


def test_prompts_that_are_stored_on_request_are_found_and_keys_are_not(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    needles = Needles()
    keys, others, rejected = key_records(needles), other_records(needles), rejected_elements(needles)
    with database.connect() as connection:
        connection.execute("SET litellm_spend.store_prompts = on")
        record(connection, [*keys.values(), *others, *rejected], "reject")
    database.wait_folded()
    assert set(needles.find(own_cluster)) == STORED_ON_REQUEST


def assert_all_was_processed(database: Database, keys: list[str], counted: int, rejected: int) -> None:
    """The records were counted, so each needle could have reached a file."""
    stored = {key for (key,) in database.query("""SELECT api_key FROM "LiteLLM_SpendLogs" WHERE api_key <> ''""")}
    assert stored == {hashlib.sha256(key.encode()).hexdigest() for key in keys}
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == counted
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == rejected
    failed = """SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE model = 'unknown-model'"""
    assert database.value(failed) == 2


def test_of_rows_copied_into_the_inbox_no_key_and_no_prompt_is_in_any_file(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    needles = Needles()
    keys, others, rejected = key_records(needles), other_records(needles), rejected_elements(needles)
    control = spend_record(metadata={"spend_logs_metadata": {"note": needles.prompt(CONTROL)}})
    valid = [*keys.values(), *others, control]
    half = json.dumps(spend_record(api_key=needles.key("half a record")))[:-1]
    rows = [*map(json.dumps, valid), *(json.dumps([element]) for element in rejected), half]
    with database.connect() as connection, connection.cursor() as cursor, cursor.copy(COPY) as copying:
        for row in rows:
            copying.write_row((row,))
    database.wait_folded()

    assert_all_was_processed(database, list(keys), len(valid), len(rejected) + 1)
    found = needles.find(own_cluster)
    assert found.pop(CONTROL)
    assert found == {}
