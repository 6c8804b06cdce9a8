"""Tables that differ a little from those of LiteLLM's migrations: the fold reads their shape from the catalogue."""

from __future__ import annotations

from harness.database import Database
from harness.litellm_tables import DAILY
from harness.records import DAY, assert_counted, spend_record, spend_records

USER = "LiteLLM_DailyUserSpend"
UNIQUE_INDEX = """
    SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = '"LiteLLM_DailyUserSpend"'::regclass AND indisunique AND NOT indisprimary"""
# One call of each entity, without the columns that joined the daily tables' key later.
BARE = spend_record(
    call_type="",
    custom_llm_provider="",
    api_key="",
    user="entity",
    team_id="entity",
    organization_id="entity",
    end_user="entity",
    agent_id="entity",
    request_tags=["entity"],
)


def target(database: Database, table: str) -> dict:
    [row] = database.rows("SELECT * FROM litellm_spend.targets WHERE target = %s", table)
    return row


def test_a_column_that_nobody_knows_keeps_its_default(database: Database) -> None:
    tables = ["LiteLLM_SpendLogs", "LiteLLM_UserTable", USER]
    for table in tables:
        database.execute(f"""ALTER TABLE "{table}" ADD COLUMN region text NOT NULL DEFAULT 'eu'""")
    records = spend_records(3)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)
    for table in tables:
        assert database.query(f'SELECT DISTINCT region FROM "{table}"') == [("eu",)], table
        assert target(database, table)["columns_unknown"] == ["region"], table


def test_an_expression_in_the_unique_index_tells_rows_apart(database: Database) -> None:
    [(index, definition)] = database.query(UNIQUE_INDEX)
    database.execute(f"DROP INDEX {index}")
    database.execute(definition[: definition.rindex(")")] + ", COALESCE(model_group, ''))")
    for fold in ("first", "second"):
        cheap = spend_records(2, f"{fold}-cheap", model_group="cheap")
        database.record(cheap + spend_records(3, f"{fold}-fast", model_group="fast"))
        database.wait_folded()
    groups = f'SELECT model_group, api_requests, spend FROM "{USER}" ORDER BY 1'
    assert database.query(groups) == [("cheap", 4, 1.0), ("fast", 6, 1.5)]
    # The other tables have LiteLLM's index, and one row.
    assert database.query('SELECT api_requests FROM "LiteLLM_DailyTeamSpend"') == [(10,)]


def test_a_missing_daily_table_is_left_out_until_it_is_there(database: Database) -> None:
    database.execute('DROP TABLE "LiteLLM_DailyTagSpend"')
    database.record(spend_records(3, "before"))
    database.wait_folded()
    assert database.query(f'SELECT api_requests FROM "{USER}"') == [(3,)]
    assert target(database, "LiteLLM_DailyTagSpend")["action"] == "skipped"
    database.execute("SELECT litellm_spend.create_tables()")
    database.record(spend_records(2, "after"))
    database.wait_folded()
    assert database.query(f'SELECT api_requests FROM "{USER}"') == [(5,)]
    assert database.query('SELECT api_requests, spend FROM "LiteLLM_DailyTagSpend"') == [(2, 0.5)]
    assert target(database, "LiteLLM_DailyTagSpend")["action"] == "written"


def test_old_rows_with_null_in_their_key_become_one_with_the_new_row(database: Database) -> None:
    for table in DAILY:
        insert_old_rows(database, table, "entity")
    for number in (1, 2):
        database.record(BARE | {"request_id": f"new-{number}", "litellm_call_id": f"new-{number}"})
        database.wait_folded()
        for table, entity in DAILY.items():
            sums = f"SELECT api_requests, prompt_tokens, spend FROM \"{table}\" WHERE {entity} = 'entity'"
            assert database.query(sums) == [(number + 7, number * 10 + 70, number * 0.25 + 1.75)], table


def test_an_old_row_of_nobody_becomes_one_with_the_new_row(database: Database) -> None:
    tables = [USER, "LiteLLM_DailyTeamSpend"]
    for table in tables:
        insert_old_rows(database, table, None)
    database.record(BARE | {"user": "", "team_id": ""})
    database.wait_folded()
    for table in tables:
        assert database.query(f'SELECT {DAILY[table]}, api_requests, spend FROM "{table}"') == [("", 8, 2.0)]


def test_an_old_row_of_another_kind_is_left_alone(database: Database) -> None:
    insert_old_rows(database, USER, "entity")
    database.record(BARE | {"custom_llm_provider": "openai"})
    database.record(BARE | {"model": "another", "request_id": "another", "litellm_call_id": "another"})
    database.wait_folded()
    assert database.value(f'SELECT sum(api_requests) FROM "{USER}" WHERE custom_llm_provider IS NULL') == 6
    assert database.value(f'SELECT count(*) FROM "{USER}"') == 5


def insert_old_rows(database: Database, table: str, entity: str | None) -> None:
    """Insert three rows of 7 requests in all. Each has other NULLs in the columns that came later."""
    keys = [(None, None, None, 1), (None, "", None, 5), ("", None, None, 1)]
    for number, (provider, tool, endpoint, requests) in enumerate(keys):
        database.execute(
            f"""INSERT INTO "{table}" (id, {DAILY[table]}, date, api_key, model, custom_llm_provider,
                    mcp_namespaced_tool_name, endpoint, api_requests, prompt_tokens, spend, updated_at)
                VALUES (%s, %s, %s, '', %s, %s, %s, %s, %s, %s, %s, now())""",
            *(str(number), entity, DAY, BARE["model"], provider, tool, endpoint),
            *(requests, requests * 10, requests * 0.25),
        )
