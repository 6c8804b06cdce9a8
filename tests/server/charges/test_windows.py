"""LiteLLM_BudgetWindowSpend: the amounts that a fold adds to the budget windows of keys and teams."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest

from harness.database import Database
from harness.records import DAY, spend_record

# This window of seven days holds DAY: 2026-02-26 to 2026-03-05.
WEEK = {"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}
WEEK_START = datetime(2026, 2, 26)
WINDOWS = """SELECT window_duration, window_start, spend FROM "LiteLLM_BudgetWindowSpend"
    WHERE entity_type = %s AND entity_id = %s ORDER BY 1"""
LOG = """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, "startTime", "endTime")
    VALUES (%s, '', %s, %s, %s, %s)"""


def make_key(database: Database, name: str, *windows: dict[str, str]) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()
    statement = 'INSERT INTO "LiteLLM_VerificationToken" (token, budget_limits) VALUES (%s, %s)'
    database.execute(statement, key, json.dumps(windows))
    return key


def move_windows(database: Database, key: str, *windows: dict[str, str]) -> None:
    statement = 'UPDATE "LiteLLM_VerificationToken" SET budget_limits = %s WHERE token = %s'
    database.execute(statement, json.dumps(windows), key)


def spend(database: Database, key: str, *costs: float, **fields: Any) -> None:
    """Count requests of these costs, all in one batch."""
    database.record([spend_record(api_key=key, spend=cost, **fields) for cost in costs])
    database.wait_folded()


def windows_of(database: Database, key: str) -> list[tuple]:
    return database.query(WINDOWS, "key", key)


def test_a_new_row_begins_with_what_the_log_holds_of_the_window(shared_database: Database) -> None:
    key = make_key(shared_database, "new", WEEK)
    shared_database.execute(LOG, "new-before", key, 8.0, "2026-02-25 23:59:59", "2026-02-26")
    shared_database.execute(LOG, "new-within", key, 1.0, "2026-02-26", "2026-02-26")
    shared_database.execute(LOG, "new-other", "other", 4.0, "2026-02-27", "2026-02-27")
    spend(shared_database, key, 0.25, 0.5)
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 1.75)]


def test_a_current_window_is_added_to(shared_database: Database) -> None:
    key = make_key(shared_database, "current", WEEK)
    spend(shared_database, key, 1.0)
    spend(shared_database, key, 0.25, 0.5, -0.125)
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 1.625)]


def test_a_later_window_begins_anew(shared_database: Database) -> None:
    key = make_key(shared_database, "later", WEEK)
    spend(shared_database, key, 1.0)
    move_windows(shared_database, key, {**WEEK, "reset_at": "2026-03-06T00:00:00Z"})
    spend(shared_database, key, 0.25)
    assert windows_of(shared_database, key) == [("7d", datetime(2026, 2, 27), 0.25)]


def test_an_earlier_window_is_added_to_the_later_one_that_is_there(shared_database: Database) -> None:
    key = make_key(shared_database, "earlier", WEEK)
    spend(shared_database, key, 1.0)
    move_windows(shared_database, key, {**WEEK, "reset_at": "2026-03-04T00:00:00Z"})
    spend(shared_database, key, 0.25)
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 1.25)]


def test_a_replayed_request_is_added_once(shared_database: Database) -> None:
    key = make_key(shared_database, "replayed", WEEK)
    for _ in range(2):
        spend(shared_database, key, 1.0, request_id="replayed", litellm_call_id="replayed")
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 1.0)]


def test_what_costs_nothing_and_what_is_never_reset_has_no_row(shared_database: Database) -> None:
    free = make_key(shared_database, "free", WEEK)
    spend(shared_database, free, 0.0, 0.0)
    sliding = make_key(shared_database, "sliding", {"budget_duration": "7d"}, {**WEEK, "reset_at": None})
    spend(shared_database, sliding, 1.0)
    assert windows_of(shared_database, free) == []
    assert windows_of(shared_database, sliding) == []


def test_each_window_of_a_key_has_a_row(shared_database: Database) -> None:
    day = {"budget_duration": "24h", "reset_at": f"{DAY}T18:00:00+02:00"}
    key = make_key(shared_database, "both", WEEK, day)
    spend(shared_database, key, 1.0)
    assert windows_of(shared_database, key) == [("24h", datetime(2026, 2, 28, 16), 1.0), ("7d", WEEK_START, 1.0)]


def test_a_team_has_windows_of_its_own(shared_database: Database) -> None:
    shared_database.execute(
        'INSERT INTO "LiteLLM_TeamTable" (team_id, budget_limits) VALUES (%s, %s)', "windowed", json.dumps([WEEK])
    )
    key = make_key(shared_database, "of-team", WEEK)
    spend(shared_database, key, 1.0, team_id="windowed")
    spend(shared_database, "", 0.5, team_id="windowed")
    assert shared_database.query(WINDOWS, "team", "windowed") == [("7d", WEEK_START, 1.5)]
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 1.0)]


@pytest.mark.parametrize("months", [1, 13])
def test_months_are_as_long_as_those_that_begin_now(shared_database: Database, months: int) -> None:
    """LiteLLM measures months from now, not from the reset (budget_reservation.py)."""
    reset_at, duration = "2026-03-05T00:00:00", f"{months}mo"
    key = make_key(shared_database, duration, {"budget_duration": duration, "reset_at": reset_at})
    starts = "SELECT %s::timestamp - (t + make_interval(months => %s) - t) FROM timezone('UTC', now()) AS t"
    before = shared_database.value(starts, reset_at, months)
    spend(shared_database, key, 1.0)
    [(found, start, total)] = windows_of(shared_database, key)
    assert (found, total) == (duration, 1.0)
    # The month may have changed meanwhile.
    assert start in (before, shared_database.value(starts, reset_at, months))


@pytest.mark.parametrize("start", ["12:00:00.0004", "12:00:00.0006"], ids=["rounded down", "rounded up"])
def test_a_new_row_counts_its_first_request_once_however_the_log_rounds_its_start(
    shared_database: Database, start: str
) -> None:
    key = make_key(shared_database, f"rounded {start}", WEEK)
    spend(shared_database, key, 5.0, startTime=f"{DAY}T{start}Z")
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 5.0)]


def test_a_request_from_before_the_window_is_added_to_what_the_log_holds_of_it(shared_database: Database) -> None:
    key = make_key(shared_database, "late", WEEK)
    shared_database.execute(LOG, "late-within", key, 10.0, "2026-03-02", "2026-03-02")
    spend(shared_database, key, 4.0, startTime="2026-01-01T00:00:00Z")
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 14.0)]


def test_a_key_in_its_grace_period_adds_to_the_window_of_the_key_that_replaced_it(shared_database: Database) -> None:
    key, old = make_key(shared_database, "active", WEEK), hashlib.sha256(b"replaced").hexdigest()
    shared_database.execute(
        """INSERT INTO "LiteLLM_DeprecatedVerificationToken" (id, token, active_token_id, revoke_at)
           VALUES ('replaced', %s, %s, '2099-01-01')""",
        old,
        key,
    )
    shared_database.execute(LOG, "active-within", key, 10.0, "2026-03-02", "2026-03-02")
    spend(shared_database, old, 4.0)
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 14.0)]


def test_a_row_that_another_writer_opens_meanwhile_is_only_added_to(shared_database: Database) -> None:
    key = make_key(shared_database, "raced", WEEK)
    shared_database.execute(LOG, "raced-within", key, 100.0, "2026-02-27", "2026-02-27")
    with shared_database.connect(autocommit=False) as proxy:
        proxy.execute(
            """INSERT INTO "LiteLLM_BudgetWindowSpend"
                   (entity_type, entity_id, window_duration, window_start, spend, updated_at)
               VALUES ('key', %s, '7d', %s, 100, now())""",
            (key, WEEK_START),
        )
        shared_database.record(spend_record(api_key=key, spend=1.0))
        shared_database.wait_for(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = 'litellm_spend fold'",
            True,
        )
    shared_database.wait_folded()
    assert windows_of(shared_database, key) == [("7d", WEEK_START, 101.0)]
