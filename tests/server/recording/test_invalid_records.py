"""A record that cannot be counted stages nothing, or costs only itself. The error names index and key."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records


def without(*fields: str) -> dict[str, Any]:
    return {name: value for name, value in spend_record().items() if name not in fields}


# case: (the bad element, the key that the DETAIL must name, or None where there is no key)
BAD = {
    "a string": ("hello", None),
    "a number": (7, None),
    "null": (None, None),
    "an array in the array": ([], None),
    "no request id": (without("request_id"), "request_id"),
    "an empty request id": (spend_record(request_id=""), "request_id"),
    "a request id that is an object": (spend_record(request_id={}), "request_id"),
    "no start time": (without("startTime"), "startTime"),
    "a start time that is no time": (spend_record(startTime="yesterday-ish"), "startTime"),
    "no cost": (without("spend"), "spend"),
    "a cost that is text": (spend_record(spend="NaN"), "spend"),
    "a cost that is no finite float": (spend_record(spend=10**400), "spend"),
}
cases = pytest.mark.parametrize(("element", "key"), BAD.values(), ids=BAD)


@cases
def test_a_bad_element_stages_nothing_and_is_named(database: Database, element: Any, key: str | None) -> None:
    with pytest.raises(psycopg.Error) as error:
        database.record([spend_record(), spend_record(), element, spend_record()])
    assert error.value.sqlstate.startswith("22")
    detail = error.value.diag.message_detail or ""
    assert "2" in detail, f"the index is not in DETAIL: {detail}"
    assert key is None or key in detail, f"{key} is not in DETAIL: {detail}"
    assert database.status()["backlog"] == 0
    assert database.query("SELECT * FROM litellm_spend.rejected") == []


@cases
def test_a_rejected_element_is_kept_and_the_rest_is_counted(database: Database, element: Any, key: str | None) -> None:
    good = spend_records(3)
    assert database.record([*good[:2], element, good[2]], "reject") == 3
    database.wait_folded()
    assert_counted(database, good)
    [rejected] = database.rows("SELECT * FROM litellm_spend.rejected")
    assert rejected["sqlstate"].startswith("22")
    assert rejected["message"]
    assert key is None or key in (rejected["detail"] or "") + rejected["message"]
    database.wait_for("SELECT rejected FROM litellm_spend.status", 1)


@pytest.mark.parametrize("payload", ["7", '"text"', "null", "true"])
def test_a_payload_that_is_no_object_or_array_is_refused(database: Database, payload: str) -> None:
    with pytest.raises(psycopg.Error) as error:
        database.query("SELECT litellm_record_spend(%s::jsonb)", payload)
    assert error.value.sqlstate.startswith("22")
    assert database.status()["backlog"] == 0


def test_an_unknown_on_invalid_is_refused_and_the_hint_names_the_choices(database: Database) -> None:
    with pytest.raises(psycopg.Error) as error:
        database.record(spend_record(), "ignore")
    assert error.value.sqlstate == "22023"
    said = f"{error.value.diag.message_detail} {error.value.diag.message_hint}"
    assert "error" in said and "reject" in said
    assert database.status()["backlog"] == 0


def test_a_cost_that_is_text_is_called_wrong_and_not_missing(database: Database) -> None:
    with pytest.raises(psycopg.Error) as error:
        database.record(spend_record(spend="0.5"))
    assert error.value.sqlstate == "22023"


def test_values_of_another_type_never_lose_a_record(database: Database) -> None:
    odd = spend_record(prompt_tokens={}, completion_tokens="many", model=[], metadata="x", request_id=7, request_tags=3)
    assert database.record(odd) == 1
    database.wait_folded()
    row = 'SELECT request_id, spend, prompt_tokens, completion_tokens, model FROM "LiteLLM_SpendLogs"'
    assert database.query(row) == [("7", odd["spend"], 0, 0, "")]


def test_a_record_of_two_megabytes_is_counted(database: Database) -> None:
    big = spend_record(metadata={"spend_logs_metadata": {"note": "x" * 2_000_000}})
    assert database.record(big) == 1
    database.wait_folded()
    length = "SELECT length(metadata #>> '{spend_logs_metadata,note}') FROM \"LiteLLM_SpendLogs\""
    assert database.value(length) == 2_000_000


def test_deeply_nested_json_is_counted_and_the_server_lives(database: Database) -> None:
    depth = 2_000
    payload = json.dumps(spend_record(metadata={"spend_logs_metadata": {"deep": "DEEP"}}))
    deep = payload.replace('"DEEP"', "[" * depth + "]" * depth)
    assert database.query("SELECT litellm_record_spend(%s::jsonb)", deep) == [(1,)]
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 1


def test_a_read_only_transaction_is_refused(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("BEGIN READ ONLY")
        with pytest.raises(psycopg.Error) as error:
            connection.execute("SELECT litellm_record_spend(%s::jsonb)", (json.dumps(spend_record()),))
    assert error.value.sqlstate == "25006"


def test_no_error_repeats_a_value(database: Database) -> None:
    needle = "sk-needle-4711"
    for field in ("spend", "startTime", "endTime"):
        with pytest.raises(psycopg.Error) as error:
            database.record(spend_record(**{field: needle}))
        assert needle not in "".join(str(part) for part in (error.value, vars(error.value.diag)))
