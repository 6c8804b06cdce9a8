"""LiteLLM's own reader of the daily tables, whose answers its Usage pages show, on tables that folds filled."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import versions
from conftest import Interpreters, discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_tables import DAILY
from mixed import world
from mixed.call import Call
from mixed.expected import Total
from mixed.generator import DAYS, random_calls, record_of

from .expected import Breakdown, activity

SCRIPT = Path(__file__).with_name("read_daily_activity.py")
FIRST_DAY = datetime(2026, 3, 1)
CALLS = 250
ENTITIES = {
    "LiteLLM_DailyUserSpend": "keyed-user",
    "LiteLLM_DailyTeamSpend": "team-0",
    "LiteLLM_DailyOrganizationSpend": "org-0",
    "LiteLLM_DailyEndUserSpend": "customer-0",
    "LiteLLM_DailyAgentSpend": "agent-0",
    "LiteLLM_DailyTagSpend": "blue",
}
"""Of each table one that is asked for alone."""
Answers = dict[str, Any]


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    # A reader's sums are over all entities, so they are exact only within one scale.
    return random_calls(Random(7), CALLS, FIRST_DAY, [world.PLAIN])


@pytest.fixture(scope="module")
def filled(cluster: Cluster, calls: list[Call]) -> Iterator[Database]:
    database = new_database(cluster)
    world.build(database)
    random = Random(8)
    for at in range(0, CALLS, 50):
        database.record([record_of(call, random) for call in calls[at : at + 50]])
    database.wait_folded()
    yield database
    discard(database)


# LiteLLM's reader came after the oldest SDK that is tested.
@pytest.fixture(scope="module", params=versions.LITELLM[1:])
def answers(request: pytest.FixtureRequest, filled: Database, interpreters: Interpreters) -> dict[str, Answers]:
    """The answers of each LiteLLM's reader for each table."""
    entities = {table.lower(): [column, ENTITIES[table]] for table, column in DAILY.items()}
    days = [day.strftime("%Y-%m-%d") for day in (FIRST_DAY, FIRST_DAY + timedelta(days=DAYS))]
    ran = interpreters(request.param).run(SCRIPT, *days, json.dumps(entities), url=filled.url)
    return json.loads(ran.stdout)


@pytest.mark.parametrize("table", DAILY)
def test_the_reader_aggregates_what_was_recorded(answers: dict[str, Answers], calls: list[Call], table: str) -> None:
    found = answers[table.lower()]["aggregated"]
    assert_equal(activity(calls, table), shown([found]))
    assert_totals(activity(calls, table), [found["metadata"]])


@pytest.mark.parametrize("table", DAILY)
def test_the_reader_shows_one_entity_alone(answers: dict[str, Answers], calls: list[Call], table: str) -> None:
    expected = activity(calls, table, ENTITIES[table])
    assert expected
    assert_equal(expected, shown([answers[table.lower()]["of_one_entity"]]))


@pytest.mark.parametrize("table", DAILY)
def test_the_reader_pages_through_the_rows(answers: dict[str, Answers], calls: list[Call], table: str) -> None:
    pages = answers[table.lower()]["pages"]
    assert len(pages) == pages[0]["metadata"]["total_pages"] > 1
    assert_equal(activity(calls, table), shown(pages))
    assert_totals(activity(calls, table), [page["metadata"] for page in pages])


def test_the_reader_knows_the_owner_of_a_key(answers: dict[str, Answers]) -> None:
    key = world.KEYS[0]
    for day in answers["litellm_dailyteamspend"]["aggregated"]["results"]:
        metadata = day["breakdown"]["api_keys"][key.hash]["metadata"]
        assert (metadata["key_exists"], metadata["user_id"], metadata["team_id"]) == (True, "keyed-user", "team-0")


Shown = dict[str, dict[tuple[str, ...], dict[str, float]]]


def shown(responses: list[Answers]) -> Shown:
    """The reader's answers in the form of `activity`. Sums of several pages are added."""
    days: Shown = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))

    def add(day: str, group: tuple[str, ...], metrics: dict[str, float]) -> None:
        for name, number in metrics.items():
            days[day][group][name] += number

    for response in responses:
        for result in response["results"]:
            day = result["date"]
            add(day, ("day",), result["metrics"])
            for group, buckets in result["breakdown"].items():
                for name, bucket in (buckets or {}).items():
                    add(day, (group, name), bucket["metrics"])
                    for key, of_key in bucket.get("api_key_breakdown", {}).items():
                        add(day, (group, name, key), of_key["metrics"])
    return days


def assert_equal(expected: dict[str, Breakdown], found: Shown) -> None:
    assert found.keys() == expected.keys()
    for day, groups in expected.items():
        assert found[day].keys() == groups.keys(), day
        for group, metrics in groups.items():
            for name, total in metrics.items():
                assert total.is_near(found[day][group][name]), (day, group, name, total.value, found[day][group])


def assert_totals(expected: dict[str, Breakdown], metadata: list[dict[str, float]]) -> None:
    """The sums over all days at the foot of an answer."""
    totals: dict[str, Total] = defaultdict(Total)
    for groups in expected.values():
        for name, total in groups["day",].items():
            totals[name].parts.extend(total.parts)
    for name, total in totals.items():
        field = f"total_{name.removeprefix('total_')}"
        assert total.is_near(sum(page[field] for page in metadata)), field
