"""The supported schemas are LiteLLM's own: each can be built, and has the tables and columns of its time."""

from __future__ import annotations

import pytest

from conftest import discard, new_database
from harness.catalogue import tables_of
from harness.cluster import Cluster
from harness.litellm_schema import SCHEMAS, LiteLLMSchema

# New in each version: a sample of the tables and columns that decide what a fold can write.
NEW_IN = {
    "1.79.0": [("LiteLLM_DailyTagSpend", "tag")],
    "1.90.0": [("LiteLLM_DailyAgentSpend", "agent_id"), ("LiteLLM_DailyUserSpend", "endpoint")],
    "1.100.0": [("LiteLLM_BudgetWindowSpend", "spend"), ("LiteLLM_SpendLogs", "created_at")],
    "1.109.1": [("LiteLLM_DailyModelUsage", "spend"), ("LiteLLM_VerificationToken", "total_spend")],
    "1.110.2": [("LiteLLM_SpendLogDelivery", "state")],
}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.litellm)
def test_a_version_has_what_came_with_it_and_not_what_came_later(cluster: Cluster, schema: LiteLLMSchema) -> None:
    database = new_database(cluster, schema=schema, extension=False)
    tables = tables_of(database)
    known = [each.litellm for each in SCHEMAS[: SCHEMAS.index(schema) + 1]]
    for version, columns in NEW_IN.items():
        for table, column in columns:
            there = f"column {column}" in tables.get(table, {})
            assert there == (version in known), f"{table}.{column} came with {version}"
    discard(database)
