"""Somebody has changed the tables, so a fold must do without some part of them, or must not choose the wrong part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.database import Database
from harness.records import DAY, spend_record

DAILY = '"LiteLLM_DailyUserSpend"'
KEY = "user_id, date, api_key, model, custom_llm_provider"
LATER_KEY = "mcp_namespaced_tool_name, endpoint"
REASON = "SELECT reason FROM litellm_spend.targets WHERE target = %s"


@pytest.fixture
def database(database: Database) -> Iterator[Database]:
    """A database in which finally nothing is left over or rejected."""
    yield database
    database.wait_folded()
    assert database.status()["rejected"] == 0


def old_row(database: Database, **columns: object) -> None:
    """A row of two requests with NULL where LiteLLM up to 1.90 wrote it."""
    values = {"id": "old", "user_id": "alice", "date": DAY, "api_key": "", "model": "gpt-4o-mini", **columns}
    values |= {"api_requests": 2, "spend": 0.5, "custom_llm_provider": values.get("custom_llm_provider", "openai")}
    database.execute(
        f"INSERT INTO {DAILY} ({', '.join(values)}, updated_at) VALUES ({', '.join(['%s'] * len(values))}, now())",
        *values.values(),
    )


def fold_one(database: Database) -> None:
    database.record(spend_record(call_type=""))
    database.wait_folded()


def daily_rows(database: Database, columns: str = "api_requests, spend") -> list[tuple]:
    return database.query(f"SELECT {columns} FROM {DAILY} ORDER BY api_requests")


def test_old_rows_that_a_foreign_key_points_to_stay(database: Database) -> None:
    old_row(database, mcp_namespaced_tool_name=None)
    database.execute(f"CREATE TABLE notes (of text REFERENCES {DAILY} (id)); INSERT INTO notes VALUES ('old')")
    fold_one(database)
    assert daily_rows(database) == [(1, 0.25), (2, 0.5)]


def test_figures_that_nobody_knows_move_with_an_old_row(database: Database) -> None:
    database.execute(f"ALTER TABLE {DAILY} ADD COLUMN audio_seconds bigint, ADD COLUMN refund float8")
    old_row(database, mcp_namespaced_tool_name=None, audio_seconds=7)
    fold_one(database)
    assert daily_rows(database, "api_requests, spend, audio_seconds, refund") == [(3, 0.75, 7, None)]


def test_a_key_of_varchar_may_be_null(database: Database) -> None:
    for column in f"{KEY}, {LATER_KEY}".split(", "):
        database.execute(f"ALTER TABLE {DAILY} ALTER COLUMN {column} TYPE varchar(2000)")
    old_row(database, mcp_namespaced_tool_name=None)
    fold_one(database)
    assert daily_rows(database) == [(3, 0.75)]


def test_only_the_entity_may_be_null(database: Database) -> None:
    for column in f"model, custom_llm_provider, {LATER_KEY}".split(", "):
        database.execute(f"ALTER TABLE {DAILY} ALTER COLUMN {column} SET NOT NULL")
    old_row(database, user_id=None, mcp_namespaced_tool_name="", endpoint="")
    database.record(spend_record(call_type="", user=""))
    database.wait_folded()
    assert daily_rows(database) == [(3, 0.75)]


def test_of_two_unique_indexes_the_one_that_keeps_fewer_rows_apart_is_the_key(database: Database) -> None:
    """The index of an older LiteLLM was left behind. Here it is the newer of the two, which must not matter."""
    database.execute(f"CREATE UNIQUE INDEX left_behind ON {DAILY} ({KEY})")
    database.record([spend_record(call_type=call_type) for call_type in ("acompletion", "aembedding")])
    database.wait_folded()
    assert daily_rows(database) == [(2, 0.5)]


def test_rows_with_a_column_that_nobody_can_fill_are_not_made(database: Database) -> None:
    database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('alice')")
    database.execute('ALTER TABLE "LiteLLM_UserTable" ADD COLUMN region text')
    database.execute("UPDATE \"LiteLLM_UserTable\" SET region = 'eu'")
    database.execute('ALTER TABLE "LiteLLM_UserTable" ALTER COLUMN region SET NOT NULL')
    assert "column region has no default" in database.value(REASON, "LiteLLM_UserTable")
    database.record([spend_record(user=user) for user in ("alice", "bob")])
    database.wait_folded()
    assert database.query('SELECT user_id, spend FROM "LiteLLM_UserTable"') == [("alice", 0.25)]
    assert database.value(f"SELECT sum(spend) FROM {DAILY}") == 0.5
    database.execute("ALTER TABLE \"LiteLLM_UserTable\" ALTER COLUMN region SET DEFAULT 'eu'")
    assert database.value(REASON, "LiteLLM_UserTable") is None
    database.record(spend_record(user="bob"))
    database.wait_folded()
    assert database.value("SELECT spend FROM \"LiteLLM_UserTable\" WHERE user_id = 'bob'") == 0.25
