"""spend_logs_metadata is the caller's own metadata. It reaches the log row as it was sent."""

from __future__ import annotations

import json

import pytest

from harness.database import Database
from harness.records import spend_record

LOGGED = """SELECT (metadata -> 'spend_logs_metadata')::jsonb::text FROM "LiteLLM_SpendLogs" WHERE request_id = %s"""


def logged(database: Database, own: str) -> str:
    """The JSON text of the metadata in the log row. The record is sent as text, which Python does not change."""
    record = spend_record()
    database.execute(
        """SELECT litellm_record_spend(jsonb_set(%s::jsonb, '{metadata,spend_logs_metadata}', %s::jsonb))""",
        json.dumps(record | {"metadata": {}}),
        own,
    )
    database.wait_folded()
    return database.value(LOGGED, record["request_id"])


@pytest.mark.parametrize(
    "number",
    [
        "18446744073709551615",
        "-1234567890123456789012",
        "0.12345678901234567890123",
        "-0.1",
        "0.00000000000000000000000000000001",
        "1" + "0" * 400,
        "0." + "0" * 400 + "1",
        "9" * 131072,
        "0." + "9" * 16383,
        "9007199254740993",
        "1.7976931348623157",
    ],
    ids=lambda number: number[:30],
)
def test_a_number_comes_back_as_it_was_sent(shared_database: Database, number: str) -> None:
    own = f'{{"number": {number}, "list": [{number}, "x", {number}]}}'
    assert shared_database.value("SELECT %s::jsonb = %s::jsonb", logged(shared_database, own), own)


def test_an_id_that_is_a_number_of_many_digits_is_its_text(shared_database: Database) -> None:
    record = spend_record(user=2**64 + 1, team_id=2**70)
    shared_database.record(record)
    shared_database.wait_folded()
    query = 'SELECT "user", team_id FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    assert shared_database.query(query, record["request_id"]) == [(str(2**64 + 1), str(2**70))]


def test_nesting_beyond_the_limit_is_marked_in_its_place(shared_database: Database) -> None:
    # The record and its metadata are the first two levels of 100.
    kept = "[" * 98 + "1" + "]" * 98
    assert json.loads(logged(shared_database, kept)) == json.loads(kept)
    cut = logged(shared_database, "[" * 120 + "1" + "]" * 120)
    assert cut == "[" * 99 + '"<cut: more than 100 levels>"' + "]" * 99


LONG = {"1e131071": None, "-1e5000": None, "1e-16383": 0, "1." + "0" * 16383: 1, "[1e131071]": [None]}


@pytest.mark.parametrize("number", LONG, ids=lambda number: number[:10])
def test_a_number_of_few_digits_and_a_long_text_is_the_nearest_float(shared_database: Database, number: str) -> None:
    """Postgres cannot make the text of a row with thousands of long numbers: no dump or page of the log would work."""
    many = ", ".join(f'"n{at}": {number}' for at in range(2000))
    shared_database.value(
        "SELECT litellm_record_spend(jsonb_set(%s::jsonb, '{metadata,spend_logs_metadata}', %s::jsonb), 'reject')",
        json.dumps(spend_record(request_id=number, startTime=None) | {"metadata": {}}),
        f"{{{many}}}",
    )
    rejected = "SELECT payload::text FROM litellm_spend.rejected WHERE payload ->> 'request_id' = %s"
    assert len(shared_database.value(rejected, number)) < 60_000
    own = json.loads(logged(shared_database, f"{{{many}}}"))
    assert list(own.values()) == [LONG[number]] * 2000
    staged = "SELECT max(length(payload::text)) FROM litellm_spend.staging WHERE payload::text ~ 'n1999'"
    assert shared_database.value(staged) < 60_000
