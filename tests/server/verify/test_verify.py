"""litellm_spend.verify: it compares the daily tables with the sums of the log."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import psycopg
import pytest

from harness.database import Database
from harness.records import DAY, spend_record, spend_records
from mixed import world
from mixed.generator import first_day, random_calls, record_of

FOUND = """SELECT target, key, column_name, logged::float8, stored::float8, difference::float8
    FROM litellm_spend.verify(%s, %s)"""


def found(database: Database, first: str = DAY, last: str = DAY) -> list[tuple[Any, ...]]:
    return database.query(FOUND, first, last)


def numbers(database: Database) -> list[tuple[Any, ...]]:
    """The differences: (table, column, logged)."""
    return [(target.removeprefix("LiteLLM_Daily"), column, logged) for target, _, column, logged, *_ in found(database)]


@pytest.fixture
def counted(database: Database) -> Database:
    """Two requests of one daily row that are counted."""
    database.record(spend_records(2))
    database.wait_folded()
    assert found(database) == []
    return database


def test_records_of_every_kind_agree(database: Database) -> None:
    random = Random(4)
    world.build(database)
    first = first_day()
    calls = random_calls(random, 1500, first)
    records = [record_of(call, random) for call in calls]
    random.shuffle(records)
    for at in range(0, len(records), 250):
        database.record(records[at : at + 250])
        database.wait_folded()
    verify = f"litellm_spend.verify('{first:%Y-%m-%d}', (now() AT TIME ZONE 'UTC')::date)"
    query = f"SELECT count(*) FROM {verify}"
    assert database.value(query) == 0
    # verify did compare each row, except those of requests that the log does not describe in full.
    rows = database.value('SELECT count(*) FROM "LiteLLM_DailyUserSpend"')
    database.execute('UPDATE "LiteLLM_DailyUserSpend" SET failed_requests = failed_requests + 1')
    assert database.value(query) > rows / 2
    for table in ("Team", "Organization", "EndUser", "Agent", "Tag"):
        database.execute(f'UPDATE "LiteLLM_Daily{table}Spend" SET spend = spend + 1000')
    database.execute('UPDATE "LiteLLM_DailyModelUsage" SET request_count = request_count + 1')
    for table in ("RequestErrors", "GatewayFailedRequests"):
        database.execute(f'UPDATE "LiteLLM_Daily{table}" SET failed_requests = failed_requests + 1')
    # "LiteLLM_DailyGatewayRequests" is left out: each day has one row, and a request at midnight belongs to it.
    assert database.value(f"SELECT count(DISTINCT target) FROM {verify}") == 9


def test_a_changed_number_is_listed_with_its_row(counted: Database) -> None:
    counted.execute('UPDATE "LiteLLM_DailyTeamSpend" SET spend = 0.75, prompt_tokens = prompt_tokens - 1')
    key = {
        "team_id": "team-a",
        "date": DAY,
        "api_key": "",
        "model": "gpt-4o-mini",
        "custom_llm_provider": "openai",
        "mcp_namespaced_tool_name": "",
        "endpoint": "/chat/completions",
    }
    table = "LiteLLM_DailyTeamSpend"
    assert found(counted) == [
        (table, key, "prompt_tokens", 20.0, 19.0, -1.0),
        (table, key, "spend", 0.5, 0.75, 0.25),
    ]


def test_only_the_days_asked_for_are_compared(counted: Database) -> None:
    counted.execute('UPDATE "LiteLLM_DailyTeamSpend" SET spend = 0.75')
    assert found(counted, "2026-02-01", "2026-02-28") == []
    assert found(counted, "2026-03-02", "2026-03-03") == []
    assert len(found(counted, "2026-02-28", "2026-03-02")) == 1


def test_a_deleted_row_is_listed_without_a_stored_number(counted: Database) -> None:
    counted.execute('DELETE FROM "LiteLLM_DailyTagSpend"')
    assert numbers(counted) == [
        ("TagSpend", "prompt_tokens", 20.0),
        ("TagSpend", "completion_tokens", 10.0),
        ("TagSpend", "api_requests", 2.0),
        ("TagSpend", "successful_requests", 2.0),
        ("TagSpend", "total_response_time_ms", 3000.0),
        ("TagSpend", "timed_requests", 2.0),
        ("TagSpend", "spend", 0.5),
    ]
    assert {row[4] for row in found(counted)} == {None}


def test_a_row_made_by_hand_is_listed_without_a_logged_number(counted: Database) -> None:
    counted.execute(
        """INSERT INTO "LiteLLM_DailyModelUsage" (date, model_group, model, custom_llm_provider, task_type, spend,
               prompt_tokens, completion_tokens, request_count, successful_requests, failed_requests, updated_at)
           VALUES (%s, 'g', 'm', 'p', 'uncategorized', 2, 0, 0, 0, 0, 0, now())""",
        DAY,
    )
    [(table, key, column, *values)] = found(counted)
    assert (table, key["model"], column, values) == ("LiteLLM_DailyModelUsage", "m", "spend", [None, 2.0, 2.0])


def test_a_deleted_log_row_is_listed_in_each_table(counted: Database) -> None:
    counted.execute("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'r-0'""")
    spend = [row for row in numbers(counted) if row[1] == "spend"]
    assert spend == [(table, "spend", 0.25) for table in ("UserSpend", "TeamSpend", "TagSpend", "ModelUsage")]


def test_a_null_in_a_key_is_an_empty_text(counted: Database) -> None:
    half = 'UPDATE "LiteLLM_DailyUserSpend" SET api_requests = 1, spend = 0.25, mcp_namespaced_tool_name = {}'
    rest = """INSERT INTO "LiteLLM_DailyUserSpend" SELECT (jsonb_populate_record(d, jsonb_build_object(
        'id', 'old', 'prompt_tokens', 0, 'completion_tokens', 0, 'successful_requests', 0,
        'total_response_time_ms', 0, 'timed_requests', 0))).* FROM "LiteLLM_DailyUserSpend" AS d"""
    counted.execute(half.format("NULL"))
    counted.execute(rest)
    assert counted.value('SELECT count(*) FROM "LiteLLM_DailyUserSpend"') == 2
    assert found(counted) == [], "the two are one row"


def test_a_request_logged_at_midnight_may_belong_to_either_day(database: Database) -> None:
    """The log rounds; the daily rows do not."""
    before = {"startTime": "2026-03-01T23:59:59.999600Z", "endTime": "2026-03-02T00:00:01Z"}
    after = {"startTime": "2026-03-02T00:00:00.000300Z", "endTime": "2026-03-02T00:00:01Z"}
    database.record([spend_record(user="before", **before), spend_record(user="after", **after)])
    database.record(spend_record(user="noon"))
    database.wait_folded()
    assert found(database, DAY, "2026-03-02") == []
    database.execute('UPDATE "LiteLLM_DailyUserSpend" SET spend = 7')
    assert [row[1]["user_id"] for row in found(database, DAY, "2026-03-02")] == ["noon"]
    heard: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute(FOUND, (DAY, DAY))
    assert "logged at exactly midnight" in heard[0]


def test_sums_that_cancel_and_sums_of_many_folds_agree(database: Database) -> None:
    for cost in (1e9, 0.1, -1e9, 0.2):
        database.record(spend_record(spend=cost))
        database.fold()
    assert found(database) == []
    database.execute('UPDATE "LiteLLM_DailyUserSpend" SET spend = spend + 10')
    assert [row[2] for row in found(database)] == ["spend"]


@pytest.mark.parametrize(
    "column",
    ["compression_saved_tokens", "compression_savings_spend", "prompt_caching_savings_spend"]
    + ["gateway_injected_caching_savings_spend", "autorouter_savings_spend"],
)
def test_what_the_log_has_no_column_for_is_not_compared(counted: Database, column: str) -> None:
    counted.execute(f'UPDATE "LiteLLM_DailyUserSpend" SET {column} = 3')
    counted.execute("""UPDATE "LiteLLM_UserTable" SET spend = 99""")
    assert found(counted) == []


@pytest.mark.parametrize("field", ["top", "metadata"])
def test_how_a_request_counts_is_told_by_its_log_row(database: Database, field: str) -> None:
    marks: list[dict[str, Any]] = [
        {"internal_call_origin": "judge"},
        {"billed_retry_attempt": True},
        {"status": "failure", "error_information": {"error_code": "429"}},
    ]
    place = (lambda mark: mark) if field == "top" else (lambda mark: {"metadata": mark})
    database.record([spend_record(**place(mark)) for mark in marks])
    database.wait_folded()
    assert found(database) == []


def test_a_running_fold_causes_no_difference(database: Database) -> None:
    """verify reads each day in one snapshot."""
    over = threading.Event()
    failures: list[BaseException] = []

    def send() -> None:
        try:
            with database.connect() as connection:
                while not over.is_set():
                    for record in spend_records(20, prefix=f"r-{Random().random()}"):
                        connection.execute("SELECT litellm_record_spend(%s::jsonb)", (psycopg.types.json.Json(record),))
        except psycopg.Error as error:
            failures.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        seen = set()
        while len(seen) < 10:
            # This also holds in a transaction that has written something, where each statement has its own snapshot.
            with database.connect(autocommit=False) as connection:
                connection.execute("CREATE TEMP TABLE written ()")
                assert connection.execute(FOUND, (DAY, DAY)).fetchall() == []
            seen.add(database.status()["folded"])
    finally:
        over.set()
        sender.join()
    assert not failures


def test_a_range_that_makes_no_sense_is_refused(counted: Database) -> None:
    with pytest.raises(psycopg.Error, match="the first day is later than the last"):
        found(counted, "2026-03-02", DAY)
    with pytest.raises(psycopg.Error, match="infinity is not a day"):
        found(counted, DAY, "infinity")


def test_without_a_log_there_is_nothing_to_compare(counted: Database) -> None:
    counted.execute('DROP TABLE "LiteLLM_SpendLogs" CASCADE')
    with pytest.raises(psycopg.Error, match='there is no "LiteLLM_SpendLogs" to add up') as error:
        found(counted)
    assert error.value.diag.message_hint


@pytest.mark.parametrize("function", ["verify", "rebuild"])
def test_only_the_owner_may_ask(counted: Database, function: str) -> None:
    counted.execute("DO $$ BEGIN CREATE ROLE curious LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    counted.execute("GRANT pg_monitor, litellm_spend_writer TO curious")
    with counted.connect(user="curious") as curious, pytest.raises(psycopg.errors.InsufficientPrivilege):
        curious.execute(f"SELECT litellm_spend.{function}('{DAY}', '{DAY}')")
