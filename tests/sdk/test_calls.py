"""Every kind of SDK call is recorded once, with the sums that the SDK reported, even if its process exits at once."""

from __future__ import annotations

import pytest

from harness.database import Database

from .driving import Sdk, assert_recorded


@pytest.mark.parametrize(
    ("scenario", "number"),
    [
        ("completions", 20),
        ("streams", 5),
        ("astreams", 20),
        ("embeddings", 5),
        ("aembeddings", 20),
        ("text_completions", 5),
        ("atext_completions", 20),
        ("cache_hits", 9),
    ],
)
def test_each_kind_of_call_is_recorded_with_its_cost(
    database: Database, litellm: Sdk, scenario: str, number: int
) -> None:
    ran = litellm.run_scenario(database, scenario, number)
    assert ran.sdk["calls"] == number
    assert_recorded(database, ran.sdk)


@pytest.mark.parametrize("number", [1, 100, 1000])
def test_a_script_that_gathers_calls_and_exits_loses_none(database: Database, litellm: Sdk, number: int) -> None:
    ran = litellm.run_scenario(database, "gathered", number)
    assert ran.sdk["calls"] == number
    assert_recorded(database, ran.sdk)


def test_the_exit_at_once_script_loses_none_in_three_runs(database: Database, litellm: Sdk) -> None:
    runs = [run.sdk for run in litellm.run_scenarios_afresh(database, "gathered", 100, times=3)]
    sums = {key: sum(run[key] for run in runs) for key in ("calls", "cost", "prompt_tokens", "completion_tokens")}
    assert_recorded(database, {**sums, "users": {"user-0": sums["cost"]}})


def test_twenty_short_event_loops_lose_none(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_scenario(database, "short_runs", 20)
    assert_recorded(database, ran.sdk)


def test_a_hundred_concurrent_calls_charge_ten_users(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_scenario(database, "ten_users", 100)
    assert len(ran.sdk["users"]) == 10
    assert_recorded(database, ran.sdk)


def test_cache_hits_are_recorded_and_cost_nothing(database: Database, litellm: Sdk) -> None:
    litellm.run_scenario(database, "cache_hits", 9)
    database.wait_folded()
    assert database.query(
        """SELECT cache_hit, count(*), sum(spend) > 0 FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1"""
    ) == [("None", 1, True), ("True", 8, False)]


def test_a_call_that_the_router_retries_and_reroutes_is_recorded_once(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_scenario(database, "routed", 10)
    assert_recorded(database, ran.sdk)
    assert database.query('SELECT DISTINCT model_group FROM "LiteLLM_SpendLogs"') == [("second",)]
