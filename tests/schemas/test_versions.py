"""The same records are folded on each supported schema. Every table and column that the version has holds them."""

from __future__ import annotations

from random import Random

import pytest

from conftest import Tell, discard, new_database
from harness.cluster import Cluster
from harness.litellm_schema import SCHEMAS, LiteLLMSchema
from harness.records import spend_record
from mixed import world
from mixed.comparison import compare
from mixed.expected import expected_rows
from mixed.generator import first_day, random_calls, record_of

CALLS = 500
_SINCE_1_109 = {"LiteLLM_DailyModelUsage", "LiteLLM_DailyRequestErrors", "LiteLLM_DailyGatewayFailedRequests"}
_SINCE_1_100 = {
    "LiteLLM_BudgetWindowSpend",
    "LiteLLM_ModelAccessGroupBudgetTable",
    "LiteLLM_DailyToolSpend",
    "LiteLLM_DailyGatewayRequests",
}
_SINCE_1_90 = {
    "LiteLLM_ProjectTable",
    "LiteLLM_AgentsTable",
    "LiteLLM_DailyOrganizationSpend",
    "LiteLLM_DailyEndUserSpend",
    "LiteLLM_DailyAgentSpend",
    "LiteLLM_SpendLogToolIndex",
}
LACKING = {
    "1.79.0": _SINCE_1_90 | _SINCE_1_100 | _SINCE_1_109,
    "1.90.0": _SINCE_1_100 | _SINCE_1_109,
    "1.100.0": _SINCE_1_109,
    "1.109.1": set(),
    "1.110.2": set(),
}
"""The tables that a version does not have yet."""


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.litellm)
def test_a_version_holds_all_that_it_has_a_place_for(cluster: Cluster, tell: Tell, schema: LiteLLMSchema) -> None:
    database = new_database(cluster, schema=schema)
    world.build(database)
    random = Random(1)
    calls = random_calls(random, CALLS, first_day())
    records = [record_of(call, random) for call in calls]
    for at in range(0, CALLS, 100):
        database.record(records[at : at + 100])
    database.record(records[:50])
    database.wait_folded()
    found = compare(database, expected_rows(calls), calls)
    equal = sum(not each.problems for each in found)
    tell("mixed calls on each schema", f"{schema.litellm}: {CALLS} calls, {equal} of {len(found)} tables equal")
    assert [str(each) for each in found if each.problems] == []
    skipped = database.query("SELECT target FROM litellm_spend.targets WHERE action = 'skipped'")
    assert {table for (table,) in skipped} == LACKING[schema.litellm]
    assert (database.status()["folded"], database.status()["duplicates"]) == (CALLS, 50)
    reused = [spend_record(request_id="reused", litellm_call_id=call, metadata={}) for call in ("first", "second")]
    for record in (*reused, *reused):
        database.record(record)
        database.wait_folded()
    ids = database.query("""SELECT request_id FROM "LiteLLM_SpendLogs" WHERE request_id LIKE 'reused%%'""")
    assert {name for (name,) in ids} == {"reused", "reused#second"}, "the call id tells one request from another"
    discard(database)
