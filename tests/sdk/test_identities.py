"""Who is charged for a call: each identity that LiteLLM's metadata can name reaches the tables that count it."""

from __future__ import annotations

import pytest

from harness.database import Database

from .driving import Sdk

PROGRAM = """
import provider

class McpTool(litellm.integrations.custom_logger.CustomLogger):
    def log_pre_api_call(self, model, messages, kwargs):
        # Where LiteLLM's own MCP handler puts it.
        if kwargs.get("user") == "tool":
            kwargs["mcp_tool_call_metadata"] = {
                "name": "search", "namespaced_tool_name": "server/search", "mcp_server_name": "server",
                "arguments": {"query": "needle"},
            }

litellm.callbacks = [McpTool(), SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none"}

def ask(user, **metadata):
    return litellm.completion(model="openai/gpt-4o", messages=provider.ask(), user=user, metadata=metadata, **api)

ask("plain")
ask("tool")
ask("internal", internal_call_origin="shadow_eval_judge")
ask("organized", user_api_key_org_id="org-1", user_api_key_project_id="project-1")
ask("grouped", user_api_key_matched_model_access_groups=["group-1", "group-2"])

async def respond():
    owner = {"user_api_key_user_id": "owner", "user_api_key_team_id": "team-1"}
    wish = provider.ask(tool="search")
    await litellm.aresponses(model="openai/gpt-4o", input=wish[0]["content"], litellm_metadata=owner, **api)
    await litellm.anthropic.messages.acreate(
        model="anthropic/claude-sonnet-4-5", messages=wish, max_tokens=9, litellm_metadata=owner, **api
    )

asyncio.run(respond())
"""
ODD_IDS = """
import uuid
from enum import Enum

class Team(Enum):
    RED = uuid.UUID(int=2)

class Odd(uuid.UUID):
    def __str__(self):
        raise RuntimeError("needle")

litellm.callbacks = [logger := SpendLogger()]
one = uuid.UUID(int=1)
call(user=one, metadata={"team_id": Team.RED, "tags": [one, 5, "plain"], "user_api_key_org_id": b"org", "agent_id": 6})
call(user=42, metadata={"user_api_key_team_id": 43, "user_api_key_project_id": one, "user_api_key_end_user_id": 44})
call(user="user", metadata={"user_api_key_user_id": Odd(int=3)}, litellm_call_id=one, litellm_session_id=one)
call(user={"needle": 1}, metadata={"team_id": True, "tags": [{"needle": 1}, "plain"]})
wait_until(lambda: logger.stats().captured == 4, "the events came")
say(unusable_ids=logger.stats().unusable_ids, flushed=logger.flush())
"""
DROPPED_METADATA = """
import provider

litellm.callbacks = [logger := SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none"}
wish = provider.ask(tool="search")

def who(name, **more):
    return {"team_id": f"team-{name}", "tags": [f"tag-{name}"], "spend_logs_metadata": {"own": name}, **more}

async def main():
    claude = {"model": "anthropic/claude-sonnet-4-5", **api}
    ask = {"input": wish[0]["content"], **claude}
    messages = {"messages": wish, "max_tokens": 9, **claude}
    await litellm.aresponses(metadata=who("responses"), **ask)
    await litellm.anthropic.messages.acreate(metadata=who("messages"), **messages)
    await litellm.anthropic.messages.acreate(metadata=who("uid", user_id="u-1"), **messages)
    # LiteLLM serves these by its API of the other provider.
    await litellm.anthropic.messages.acreate(metadata=who("served"), **{**messages, "model": "openai/gpt-4o"})
    # What the client of a proxy writes into the request is no identity.
    await litellm.anthropic.messages.acreate(
        metadata=who("body", user_id="u-1"), litellm_metadata={"user_api_key_team_id": "team-proxy"}, **messages
    )
    await litellm.aresponses(metadata=who("first"), litellm_call_id="reused", **ask)
    while logger.stats().captured < 6:
        await asyncio.sleep(0.01)
    await litellm.aresponses(litellm_call_id="reused", **ask)

asyncio.run(main())
wait_until(lambda: logger.stats().captured == 7, "the events came")
say(flushed=logger.flush())
"""
# The cost of a call of 2000 and 10 tokens: gpt-4o's 2.5e-6 and 1e-5 per token.
COST = pytest.approx(2000 * 2.5e-6 + 10 * 1e-5, rel=1e-9)


@pytest.fixture
def charged(database: Database, litellm: Sdk) -> Database:
    """A database with the calls of the program."""
    database.execute("""INSERT INTO "LiteLLM_ProjectTable" (project_id, created_by, updated_by)
                        VALUES ('project-1', 'test', 'test')""")
    database.execute("""INSERT INTO "LiteLLM_ModelAccessGroupBudgetTable" (access_group_name) VALUES ('group-1')""")
    litellm.run_code(PROGRAM, url=database.url)
    database.wait_folded()
    return database


def test_each_identity_is_charged(charged: Database, litellm: Sdk) -> None:
    assert charged.query('SELECT organization_id, spend FROM "LiteLLM_OrganizationTable"') == [("org-1", COST)]
    assert charged.query('SELECT organization_id, spend FROM "LiteLLM_DailyOrganizationSpend"') == [("org-1", COST)]
    assert charged.query('SELECT project_id, spend FROM "LiteLLM_ProjectTable"') == [("project-1", COST)]
    # LiteLLM 1.79 knows no access groups of models.
    group = 0 if litellm.is_1_79 else COST
    assert charged.query('SELECT access_group_name, spend FROM "LiteLLM_ModelAccessGroupBudgetTable"') == [
        ("group-1", group)
    ]
    assert charged.query("""SELECT organization_id, metadata ->> 'user_api_key_project_id' FROM "LiteLLM_SpendLogs"
                            WHERE "user" = 'organized'""") == [("org-1", "project-1")]


def test_the_metadata_of_responses_and_messages_names_user_and_team(charged: Database) -> None:
    assert charged.query("""SELECT call_type, "user", team_id FROM "LiteLLM_SpendLogs" WHERE team_id <> ''
                            ORDER BY 1""") == [
        ("anthropic_messages", "owner", "team-1"),
        ("aresponses", "owner", "team-1"),
    ]
    spent = charged.value("""SELECT spend FROM "LiteLLM_UserTable" WHERE user_id = 'owner'""")
    assert spent > 0
    assert charged.query('SELECT team_id, spend FROM "LiteLLM_TeamTable"') == [("team-1", pytest.approx(spent))]


def test_a_tool_and_an_internal_call_are_known_as_such(charged: Database) -> None:
    assert charged.query("""SELECT user_id, mcp_namespaced_tool_name, api_requests::int, spend
                            FROM "LiteLLM_DailyUserSpend" WHERE user_id IN ('plain', 'tool', 'internal')
                            ORDER BY 1""") == [
        ("internal", "", 0, COST),
        ("plain", "", 1, COST),
        ("tool", "server/search", 1, COST),
    ]
    assert charged.query("""SELECT "user", metadata ->> 'internal_call_origin' FROM "LiteLLM_SpendLogs"
                            WHERE metadata ->> 'internal_call_origin' IS NOT NULL""") == [
        ("internal", "shadow_eval_judge")
    ]
    assert charged.value("""SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE metadata::text LIKE '%needle%'""") == 0


def test_ids_that_are_no_strings_are_charged_as_their_text(database: Database, litellm: Sdk) -> None:
    one, two, three = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))
    database.execute(
        """INSERT INTO "LiteLLM_ProjectTable" (project_id, created_by, updated_by)
                        VALUES (%s, 'test', 'test')""",
        one,
    )
    run = litellm.run_code(ODD_IDS, url=database.url)
    assert run.sdk == {"unusable_ids": 3, "flushed": True}
    database.wait_folded()

    def charged(table: str, column: str) -> list[str]:
        return [name for (name,) in database.query(f'SELECT {column} FROM "{table}" WHERE spend > 0 ORDER BY 1')]

    assert charged("LiteLLM_UserTable", "user_id") == [one, three, "42"]
    assert charged("LiteLLM_TeamTable", "team_id") == [two, "43"]
    assert charged("LiteLLM_TagTable", "tag_name") == [one, "5", "plain"]
    assert charged("LiteLLM_OrganizationTable", "organization_id") == ["org"]
    assert charged("LiteLLM_ProjectTable", "project_id") == [one]
    assert charged("LiteLLM_EndUserTable", "user_id") == ["44"]
    assert database.query(
        """SELECT session_id, metadata ->> 'litellm_call_id' FROM "LiteLLM_SpendLogs"
                             WHERE "user" = %s""",
        three,
    ) == [(one, one)]
    assert database.query("""SELECT agent_id FROM "LiteLLM_SpendLogs" WHERE "user" = %s""", one) == [("6",)]
    [line] = [line for line in run.log_lines() if "WARNING" in line]
    assert "which is no id" in line and "needle" not in line


def test_the_metadata_that_litellm_drops_names_team_and_tags(database: Database, litellm: Sdk) -> None:
    run = litellm.run_code(DROPPED_METADATA, url=database.url)
    assert run.sdk == {"flushed": True}
    database.wait_folded()
    assert database.query("""SELECT team_id, request_tags ->> 0, metadata -> 'spend_logs_metadata' ->> 'own'
                             FROM "LiteLLM_SpendLogs" WHERE spend > 0 ORDER BY "startTime" """) == [
        ("team-responses", "tag-responses", "responses"),
        ("team-messages", "tag-messages", "messages"),
        ("team-uid", "tag-uid", "uid"),
        ("team-served", "tag-served", "served"),
        ("team-proxy", None, None),
        ("team-first", "tag-first", "first"),
        ("", None, None),
    ]
    assert run.log_lines() == []
