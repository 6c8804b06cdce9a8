"""Rows of projects, agents, model access groups and keys, which a fold makes where
litellm_spend.create_missing asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record
from harness.remembering import configure, send

KEY = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8a"


@pytest.fixture(scope="module")
def asked(cluster: Cluster) -> Iterator[Database]:
    """A database that asks for those that are not made by default."""
    database = new_database(cluster)
    configure(database, create_missing="project, agent, model_access_group, key")
    yield database
    discard(database)


def test_what_is_asked_for_is_made_and_then_added_to(asked: Database) -> None:
    for _ in range(2):
        send(asked, spend_record(project_id="p", agent_id="a", request_model_access_groups=["g"], api_key=KEY))
    assert asked.query('SELECT project_id, spend FROM "LiteLLM_ProjectTable"') == [("p", 0.5)]
    assert asked.query('SELECT agent_id, agent_name, spend FROM "LiteLLM_AgentsTable"') == [("a", "a", 0.5)]
    groups = 'SELECT access_group_name, spend FROM "LiteLLM_ModelAccessGroupBudgetTable"'
    assert asked.query(groups) == [("g", 0.5)]
    assert asked.query('SELECT user_id FROM "LiteLLM_UserTable"') == []


def test_a_key_is_made_blocked_because_it_is_a_credential(asked: Database) -> None:
    key = KEY[::-1]
    send(asked, spend_record(api_key=key))
    columns = 'SELECT blocked, spend, total_spend, last_active IS NOT NULL FROM "LiteLLM_VerificationToken"'
    assert asked.query(f"{columns} WHERE token = %s", key) == [(True, 0.25, 0.25, True)]


def test_an_agent_whose_name_is_taken_is_not_made_and_its_spend_counts_elsewhere(asked: Database) -> None:
    asked.execute("""
        INSERT INTO "LiteLLM_AgentsTable" (agent_id, agent_name, agent_card_params, created_by, updated_by)
        VALUES ('other', 'taken', '{}', '', '')""")
    send(asked, spend_record(user="of-agent", agent_id="taken"))
    agents = "SELECT agent_id, spend FROM \"LiteLLM_AgentsTable\" WHERE 'taken' IN (agent_id, agent_name)"
    assert asked.query(agents) == [("other", 0.0)]
    daily = 'SELECT agent_id, spend FROM "LiteLLM_DailyAgentSpend" WHERE agent_id = %s'
    assert asked.query(daily, "taken") == [("taken", 0.25)]
    assert asked.value("SELECT count(*) FROM litellm_spend.rejected") == 0
