"""Daily rows and rollups: the key under which a request counts, and the numbers that it adds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from harness.database import Database
from harness.records import DAY, spend_record

DAILY = """SELECT spend, api_requests, successful_requests, failed_requests FROM "LiteLLM_DailyUserSpend"
    WHERE user_id = %s ORDER BY spend"""
USAGE = """SELECT model_group, task_type, spend, request_count, successful_requests, failed_requests
    FROM "LiteLLM_DailyModelUsage" WHERE model = %s ORDER BY 1, 2"""
ERRORS = """SELECT status_code, failed_requests FROM "LiteLLM_DailyRequestErrors"
    WHERE user_id = %s ORDER BY status_code"""


def count(database: Database, *records: dict[str, Any]) -> None:
    """Count the records, all in one batch."""
    database.record(list(records))
    database.wait_folded()


def failure(user: str, error: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    metadata = {"status": "failure", "error_information": error, **fields.pop("metadata", {})}
    return spend_record(user=user, spend=0.0, status="failure", metadata=metadata, **fields)


def test_two_mcp_tools_with_one_name_have_a_row_each(shared_database: Database) -> None:
    """LiteLLM merges them into one row, because its key in memory lacks the tool."""
    tools = ("one-search", "two-search")
    calls = [
        spend_record(
            user="mcp", model="MCP: search", spend=cost, mcp_namespaced_tool_name=tool, call_type="call_mcp_tool"
        )
        for tool, cost in zip(tools, (0.25, 0.5), strict=True)
    ]
    count(shared_database, *calls)
    rows = 'SELECT mcp_namespaced_tool_name, spend FROM "LiteLLM_DailyUserSpend" WHERE user_id = %s ORDER BY 1'
    assert shared_database.query(rows, "mcp") == [("one-search", 0.25), ("two-search", 0.5)]


def test_the_first_model_group_of_a_daily_row_stays_and_model_usage_has_both(shared_database: Database) -> None:
    for group in ("group-a", "group-b"):
        count(shared_database, spend_record(user="groups", model="grouped", model_group=group))
    rows = 'SELECT model_group, spend FROM "LiteLLM_DailyUserSpend" WHERE user_id = %s'
    assert shared_database.query(rows, "groups") == [("group-a", 0.5)]
    usage = [(group, "uncategorized", 0.25, 1, 1, 0) for group in ("group-a", "group-b")]
    assert shared_database.query(USAGE, "grouped") == usage


def test_a_failure_is_counted_under_its_http_status(shared_database: Database) -> None:
    codes = [{"error_code": "500"}, {"error_code": 500}, {"error_code": "quota"}, {"error_code": "600"}, {}, None]
    count(shared_database, *(failure("failing", error) for error in codes))
    assert shared_database.query(ERRORS, "failing") == [(0, 4), (500, 2)]
    assert shared_database.query(DAILY, "failing") == [(0.0, 6, 0, 6)]


@pytest.mark.parametrize("field", ["top level", "metadata"])
def test_a_billed_retry_costs_and_is_no_request(shared_database: Database, field: str) -> None:
    user = f"retry in {field}"
    mark = {"billed_retry_attempt": True}
    fields = {"metadata": {"status": "success", **mark}} if field == "metadata" else mark
    count(shared_database, spend_record(user=user, model=user, **fields))
    assert shared_database.query(DAILY, user) == [(0.25, 0, 0, 0)]
    assert shared_database.query(USAGE, user) == [(user, "uncategorized", 0.25, 1, 1, 0)]


def test_a_billed_retry_that_failed_is_no_error(shared_database: Database) -> None:
    count(shared_database, failure("retry failed", {"error_code": "500"}, billed_retry_attempt=True))
    assert shared_database.query(ERRORS, "retry failed") == []
    assert shared_database.query(DAILY, "retry failed") == [(0.0, 0, 0, 0)]


def test_litellms_own_call_that_failed_is_no_request_no_error_and_no_usage(shared_database: Database) -> None:
    mark = {"internal_call_origin": "guardrail"}
    count(shared_database, failure("internal", {"error_code": "500"}, model="judge", metadata=mark))
    assert shared_database.query(DAILY, "internal") == [(0.0, 0, 0, 0)]
    assert shared_database.query(ERRORS, "internal") == []
    assert shared_database.query(USAGE, "judge") == []


def test_the_first_known_task_among_the_tags_is_the_task(shared_database: Database) -> None:
    tags = [
        ["task:debugging"],
        ["task:unheard", 7, "task:translation", "task:debugging"],
        ["task:unheard"],
        ["debugging"],
    ]
    count(shared_database, *(spend_record(model="tasked", request_tags=each) for each in tags))
    assert [(task, requests) for _, task, _, requests, *_ in shared_database.query(USAGE, "tasked")] == [
        ("debugging", 1),
        ("translation", 1),
        ("uncategorized", 2),
    ]


def test_each_tool_that_a_request_called_is_charged_all_of_it(shared_database: Database) -> None:
    day = {"startTime": "2026-04-01T12:00:00Z", "endTime": "2026-04-01T12:00:01Z"}
    tools = ["find", " read ", "find", " ", 7]
    first = spend_record(tool_calls=tools, mcp_namespaced_tool_name="docs-read", **day)
    count(shared_database, first, spend_record(tool_calls=["find"], **day))
    count(shared_database, first)
    rows = (
        'SELECT tool_name, spend, total_tokens, request_count FROM "LiteLLM_DailyToolSpend" WHERE date = %s ORDER BY 1'
    )
    charged = [("docs-read", 0.25, 15, 1), ("find", 0.5, 30, 2), ("read", 0.25, 15, 1)]
    assert shared_database.query(rows, "2026-04-01") == charged
    index = 'SELECT tool_name, start_time FROM "LiteLLM_SpendLogToolIndex" WHERE request_id = %s ORDER BY 1'
    noon = datetime(2026, 4, 1, 12)
    assert shared_database.query(index, first["request_id"]) == [(tool, noon) for tool, *_ in charged]


def test_a_request_of_25_days_is_logged_with_a_clamped_duration_and_counted_with_the_whole(
    shared_database: Database,
) -> None:
    """LiteLLM loses the log row of such a request."""
    record = spend_record(user="long", startTime="2026-01-01T00:00:00Z", endTime="2026-01-26T00:00:00Z")
    count(shared_database, record)
    logged = 'SELECT request_duration_ms FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    assert shared_database.value(logged, record["request_id"]) == 2**31 - 1
    daily = 'SELECT total_response_time_ms, timed_requests FROM "LiteLLM_DailyUserSpend" WHERE user_id = %s'
    assert shared_database.query(daily, "long") == [(25 * 86_400_000, 1)]


def test_a_request_that_ended_before_it_began_is_not_timed(shared_database: Database) -> None:
    record = spend_record(user="back", startTime=f"{DAY}T12:00:01Z", endTime=f"{DAY}T12:00:00Z")
    count(shared_database, record)
    logged = 'SELECT request_duration_ms FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    assert shared_database.value(logged, record["request_id"]) == -1000
    daily = (
        'SELECT total_response_time_ms, timed_requests, api_requests FROM "LiteLLM_DailyUserSpend" WHERE user_id = %s'
    )
    assert shared_database.query(daily, "back") == [(0, 0, 1)]


def test_a_tags_daily_row_names_the_first_request_of_the_latest_batch(shared_database: Database) -> None:
    tagged = [spend_record(request_id=f"tagged-{number}", request_tags=["latest"]) for number in range(4)]
    named = "SELECT request_id, api_requests FROM \"LiteLLM_DailyTagSpend\" WHERE tag = 'latest'"
    count(shared_database, *tagged[:2])
    assert shared_database.query(named) == [("tagged-0", 2)]
    count(shared_database, *tagged[2:])
    assert shared_database.query(named) == [("tagged-2", 4)]


def test_an_empty_tag_has_a_daily_row_and_no_row_of_its_own(shared_database: Database) -> None:
    count(shared_database, spend_record(request_tags=["", "full"]))
    daily = "SELECT tag, spend FROM \"LiteLLM_DailyTagSpend\" WHERE tag IN ('', 'full') ORDER BY 1"
    assert shared_database.query(daily) == [("", 0.25), ("full", 0.25)]
    tags = "SELECT tag_name FROM \"LiteLLM_TagTable\" WHERE tag_name IN ('', 'full')"
    assert shared_database.query(tags) == [("full",)]


def test_the_day_is_that_of_the_unrounded_start(shared_database: Database) -> None:
    times = {"startTime": "2026-03-01T23:59:59.999600Z", "endTime": "2026-03-02T00:00:01Z"}
    record = spend_record(user="midnight", **times)
    count(shared_database, record)
    logged = 'SELECT "startTime" FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    assert shared_database.value(logged, record["request_id"]) == datetime(2026, 3, 2)
    assert shared_database.value('SELECT date FROM "LiteLLM_DailyUserSpend" WHERE user_id = %s', "midnight") == DAY


def test_costs_of_one_batch_that_cancel_leave_the_small_one(shared_database: Database) -> None:
    """Floats summed from left to right, as LiteLLM does, leave 0."""
    count(shared_database, *(spend_record(user="cancel", model="cancel", spend=cost) for cost in (1e16, 1.0, -1e16)))
    assert shared_database.query(DAILY, "cancel") == [(1.0, 3, 3, 0)]
    assert shared_database.value('SELECT spend FROM "LiteLLM_UserTable" WHERE user_id = %s', "cancel") == 1.0
    assert shared_database.query(USAGE, "cancel") == [("cancel", "uncategorized", 1.0, 3, 3, 0)]


def test_absurd_amounts_do_not_hold_later_folds(shared_database: Database) -> None:
    for name in ("absurd-1", "absurd-2"):
        shared_database.record(
            spend_record(request_id=name, user="absurd", prompt_tokens=2**63 - 1, total_tokens=2**63 - 1, spend=1.7e308)
        )
        shared_database.wait_folded()
    daily = "SELECT prompt_tokens, spend FROM \"LiteLLM_DailyUserSpend\" WHERE user_id = 'absurd'"
    assert shared_database.query(daily) == [(2 * 2**40, 2e290)]
