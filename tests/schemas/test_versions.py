"""The same records on each supported schema: every table and column that the version has holds them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from mixed import world
from mixed.comparison import compare
from mixed.expected import expected_rows
from mixed.generator import DAYS, random_calls, record_of

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.litellm_schema import SCHEMAS, LiteLLMSchema

CALLS = 500


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.litellm)
def test_a_version_holds_all_that_it_has_a_place_for(cluster: Cluster, schema: LiteLLMSchema) -> None:
    database = new_database(cluster, schema=schema)
    world.build(database)
    random = Random(1)
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    calls = random_calls(random, CALLS, today - timedelta(days=DAYS))
    records = [record_of(call, random) for call in calls]
    for at in range(0, CALLS, 100):
        database.record(records[at : at + 100])
    database.record(records[:50])
    database.wait_folded()
    found = compare(database, expected_rows(calls), calls)
    print(*found, sep="\n")
    assert [str(each) for each in found if each.problems] == []
    skipped = {name for (name,) in database.query("SELECT table_name FROM litellm_spend.targets WHERE action = 'skipped'")}
    assert skipped == LACKING[schema.litellm]
    assert (database.status()["folded"], database.status()["duplicates"]) == (CALLS, 50)
    discard(database)


LACKING: dict[str, set[str]] = {"1.79.0": set(), "1.90.0": set(), "1.100.0": set(), "1.109.1": set()}
