"""A fold creates rows of entities where litellm_spend.create_missing asks for it. The tests check what these rows hold,
and which rows are never created."""

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
    """A database that asks for the kinds that are not created by default."""
    database = new_database(cluster)
    configure(database, create_missing="project, agent, model_access_group, key")
    yield database
    discard(database)


def test_what_is_asked_for_is_made_and_then_added_to(asked: Database) -> None:
    for _ in range(2):
        send(asked, spend_record(project_id="p", agent_id="a", request_model_access_groups=["g"], api_key=KEY))
    assert asked.query('SELECT project_id, project_alias, spend FROM "LiteLLM_ProjectTable"') == [("p", "p", 0.5)]
    assert asked.query('SELECT agent_id, agent_name, spend FROM "LiteLLM_AgentsTable"') == [("a", "a", 0.5)]
    groups = 'SELECT access_group_name, spend FROM "LiteLLM_ModelAccessGroupBudgetTable"'
    assert asked.query(groups) == [("g", 0.5)]
    assert asked.query('SELECT user_id FROM "LiteLLM_UserTable"') == []


def test_a_key_is_made_blocked_because_it_is_a_credential(asked: Database) -> None:
    key = KEY[::-1]
    send(asked, spend_record(api_key=key))
    columns = 'SELECT key_alias, blocked, spend, total_spend, last_active IS NOT NULL FROM "LiteLLM_VerificationToken"'
    assert asked.query(f"{columns} WHERE token = %s", key) == [(key, True, 0.25, 0.25, True)]


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


ALIASES = """SELECT team_id, metadata ->> 'user_api_key_team_alias' FROM "LiteLLM_SpendLogs" ORDER BY request_id"""


def test_a_team_that_is_made_bears_its_id_as_its_name_in_the_log_too(database: Database) -> None:
    for number in range(2):
        send(database, spend_record(request_id=f"r{number}", team_id="new"))
    assert database.query('SELECT team_id, team_alias, spend FROM "LiteLLM_TeamTable"') == [("new", "new", 0.5)]
    assert database.query(ALIASES) == [("new", "new")] * 2


def test_the_log_names_a_team_by_its_alias_unless_the_record_does(database: Database) -> None:
    database.execute("""INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, admins, members, members_with_roles)
        VALUES ('t', 'Alpha', '{}', '{}', '[]'), ('plain', NULL, '{}', '{}', '[]')""")
    named = {"user_api_key_team_alias": "of the record"}
    records = [{"team_id": "t"}, {"team_id": "t", "metadata": named}, {"team_id": "plain"}, {"team_id": ""}]
    send(database, *(spend_record(request_id=f"r{at}", **fields) for at, fields in enumerate(records)))
    assert database.query(ALIASES) == [("t", "Alpha"), ("t", "of the record"), ("plain", None), ("", None)]
    assert dict(database.query('SELECT team_id, team_alias FROM "LiteLLM_TeamTable"')) == {"t": "Alpha", "plain": None}


def test_where_teams_are_not_made_the_log_does_not_name_one_that_is_missing(asked: Database) -> None:
    record = spend_record(team_id="missing")
    send(asked, record)
    alias = """SELECT metadata ->> 'user_api_key_team_alias' FROM "LiteLLM_SpendLogs" WHERE request_id = %s"""
    assert asked.value(alias, record["request_id"]) is None


AGENTS = ["User-Agent: curl", "User-Agent: curl/8.5.0"]


def test_no_tag_is_made_of_a_user_agent_and_its_daily_rows_and_the_log_have_it(database: Database) -> None:
    for _ in range(2):
        send(database, spend_record(request_tags=[*AGENTS, "blue"]))
    assert database.query('SELECT tag_name, spend FROM "LiteLLM_TagTable"') == [("blue", 0.5)]
    daily = 'SELECT tag, spend FROM "LiteLLM_DailyTagSpend" ORDER BY tag COLLATE "C"'
    assert database.query(daily) == [(tag, 0.5) for tag in [*AGENTS, "blue"]]
    assert database.query('SELECT DISTINCT request_tags FROM "LiteLLM_SpendLogs"') == [([*AGENTS, "blue"],)]
    # Only the user, the team and the tag were created, and nothing was refused.
    assert database.query("SELECT created, not_created FROM litellm_spend.new_entities") == [(3, 0)]


def test_a_tag_of_a_user_agent_that_somebody_made_is_charged(database: Database) -> None:
    tag = 'INSERT INTO "LiteLLM_TagTable" (tag_name, models, updated_at) VALUES (%s, %s, now())'
    database.execute(tag, AGENTS[0], [])
    for tag in ("blue", "blue", "green"):
        send(database, spend_record(request_tags=[*AGENTS, tag]))
    tags = 'SELECT tag_name, spend FROM "LiteLLM_TagTable" ORDER BY tag_name COLLATE "C"'
    assert database.query(tags) == [(AGENTS[0], 0.75), ("blue", 0.5), ("green", 0.25)]
