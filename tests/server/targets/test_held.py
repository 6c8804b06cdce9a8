"""A database with unsuitable tables holds the fold, loses nothing, and says what to do (invariants 7 and 9)."""

from __future__ import annotations

import pytest

from harness.database import Database
from harness.records import assert_counted, spend_records


def test_without_litellms_tables_the_fold_is_held_until_they_are_there(empty_database: Database) -> None:
    database = empty_database
    database.execute("CREATE EXTENSION litellm_spend")
    records = spend_records(5)
    database.record(records)
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    status = database.status()
    assert "create_tables()" in status["last_error"]
    assert status["backlog"] == 5 and status["lag"] is not None and status["advice"]
    database.query("SELECT * FROM litellm_spend.create_tables()")
    database.wait_folded()
    assert_counted(database, records)
    database.wait_for("SELECT last_error IS NULL FROM litellm_spend.status", True)


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        (
            'ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"',
            'ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT "LiteLLM_SpendLogs_pkey" PRIMARY KEY (request_id)',
        ),
        (
            'ALTER INDEX "LiteLLM_DailyTagSpend_tag_date_api_key_model_custom_llm_pro_key" RENAME TO kept;'
            " DROP INDEX kept",
            'CREATE UNIQUE INDEX ON "LiteLLM_DailyTagSpend"'
            " (tag, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint)",
        ),
        (
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;"
            ' CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_DailyUserSpend"'
            " FOR EACH ROW EXECUTE FUNCTION public.refuse()",
            'DROP TRIGGER t ON "LiteLLM_DailyUserSpend"',
        ),
    ],
    ids=["log without its key", "daily table without its key", "a trigger that always raises"],
)
def test_a_broken_target_holds_the_fold_and_rejects_nothing(database: Database, breaks: str, mends: str) -> None:
    database.execute(breaks)
    records = spend_records(20)
    database.record(records)
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert database.value('SELECT count(*) FROM "LiteLLM_DailyTeamSpend"') == 0
    database.execute(mends)
    database.wait_folded()
    assert_counted(database, records)
    assert database.status()["rejected"] == 0
