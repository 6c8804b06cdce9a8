"""create_tables() on a database without LiteLLM's schema, and the entity rows that create_missing creates."""

from __future__ import annotations

import runpy

import pytest

from harness.catalogue import differences, tables_of
from harness.database import Database
from harness.postgres import PROJECT
from harness.records import assert_counted, spend_record, spend_records

KEY = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8a"
CREATE = "SELECT table_name, action FROM litellm_spend.create_tables()"
MADE_FOR_FOREIGN_KEYS = {"LiteLLM_BudgetTable"}
DUMP_SCRIPT = runpy.run_path(str(PROJECT / "scripts" / "dump_litellm_tables.py"))
TABLES = set(DUMP_SCRIPT["tables"]())


def test_create_tables_fills_an_empty_database_and_keeps_what_is_there(empty_database: Database) -> None:
    empty_database.execute("CREATE EXTENSION litellm_spend")
    made = dict(empty_database.query(CREATE))
    assert set(made.values()) == {"created"}
    assert set(made) >= TABLES
    records = spend_records(30)
    empty_database.record(records)
    empty_database.wait_folded()
    assert set(dict(empty_database.query(CREATE)).values()) == {"kept"}
    assert_counted(empty_database, records)


def test_create_tables_touches_nothing_of_litellms_own_schema(database: Database) -> None:
    columns = """
        SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name LIKE 'LiteLLM%'
        ORDER BY 1, 2"""
    before = database.query(columns)
    actions = dict(database.query(CREATE))
    assert {action for name, action in actions.items() if name.startswith("LiteLLM")} == {"kept"}, actions
    assert database.query(columns) == before


@pytest.mark.parametrize("schema", ["public", "litellm"])
def test_what_create_tables_makes_equals_litellms_own(
    database: Database, empty_database: Database, schema: str
) -> None:
    empty_database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    empty_database.execute("CREATE EXTENSION litellm_spend")
    with empty_database.connect() as connection:
        connection.execute("SELECT set_config('litellm_spend.target_schema', %s, false)", (schema,))
        connection.execute(CREATE)
    made, migrated = tables_of(empty_database, schema), tables_of(database)
    assert set(made) == TABLES
    assert differences({table: refer_to_made(migrated[table]) for table in TABLES}, made) == []
    assert schema == "public" or tables_of(empty_database) == {}


def refer_to_made(table: dict[str, str]) -> dict[str, str]:
    """create_tables() omits foreign keys to tables that it does not create. LiteLLM's migrations add them later."""
    quoted = {f'REFERENCES "{name}"(' for name in TABLES}
    return {
        part: text
        for part, text in table.items()
        if not text.startswith("FOREIGN KEY") or any(name in text for name in quoted)
    }


def test_the_definitions_are_what_litellms_migrations_make_today(database: Database) -> None:
    written = DUMP_SCRIPT["OUTPUT"].read_text()
    assert DUMP_SCRIPT["definitions"](database.cluster, database.name) == written, "run `make tables`"


def test_the_lower_case_views_show_the_tables(empty_database: Database) -> None:
    empty_database.execute("CREATE EXTENSION litellm_spend")
    empty_database.query(CREATE)
    views = """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'v' AND reloptions = '{security_invoker=true}'"""
    wanted = {table.lower() for table in TABLES - MADE_FOR_FOREIGN_KEYS}
    assert {name for (name,) in empty_database.query(views)} == wanted
    empty_database.record(spend_records(4))
    empty_database.wait_folded()
    assert empty_database.value("SELECT sum(spend) FROM litellm_dailyuserspend") == 1.0
    assert empty_database.query("SELECT user_id, spend FROM litellm_usertable") == [("alice", 1.0)]


def test_dropping_the_extension_keeps_the_tables_it_created(empty_database: Database) -> None:
    empty_database.execute("CREATE EXTENSION litellm_spend")
    empty_database.query(CREATE)
    empty_database.record(spend_records(4))
    empty_database.wait_folded()
    empty_database.execute("DROP EXTENSION litellm_spend CASCADE")
    assert empty_database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 4


def test_a_missing_user_team_organization_end_user_and_tag_are_created_and_a_key_is_not(database: Database) -> None:
    database.record(
        spend_record(
            user="new-user",
            team_id="new-team",
            organization_id="new-org",
            end_user="new-customer",
            api_key=KEY,
            request_tags=["red", "green"],
        )
    )
    database.wait_folded()
    assert database.query('SELECT user_id, spend FROM "LiteLLM_UserTable"') == [("new-user", 0.25)]
    assert database.query('SELECT team_id, spend FROM "LiteLLM_TeamTable"') == [("new-team", 0.25)]
    assert database.query('SELECT organization_id, spend FROM "LiteLLM_OrganizationTable"') == [("new-org", 0.25)]
    assert database.query('SELECT user_id, spend FROM "LiteLLM_EndUserTable"') == [("new-customer", 0.25)]
    tags = 'SELECT tag_name, spend FROM "LiteLLM_TagTable" ORDER BY 1'
    assert database.query(tags) == [("green", 0.25), ("red", 0.25)]
    assert database.query('SELECT token FROM "LiteLLM_VerificationToken"') == []
    assert database.query('SELECT budget_id FROM "LiteLLM_BudgetTable"') == [("litellm_spend",)]


def test_an_existing_row_is_added_to_and_keeps_its_other_columns(database: Database) -> None:
    database.execute("""INSERT INTO "LiteLLM_UserTable" (user_id, user_alias, spend) VALUES ('alice', 'Alice', 1.5)""")
    database.execute("""INSERT INTO "LiteLLM_VerificationToken" (token, spend) VALUES (%s, 2.0)""", KEY)
    database.record(spend_records(2, api_key=KEY))
    database.wait_folded()
    assert database.query('SELECT user_id, user_alias, spend FROM "LiteLLM_UserTable"') == [("alice", "Alice", 2.0)]
    key = 'SELECT spend, last_active IS NOT NULL FROM "LiteLLM_VerificationToken"'
    assert database.query(key) == [(2.5, True)]


def test_with_create_missing_off_no_entity_row_is_made_and_the_daily_rows_are(database: Database) -> None:
    with database.server_setting("litellm_spend.create_missing", ""):
        database.record(spend_records(2))
        database.wait_folded()
        assert database.query('SELECT user_id FROM "LiteLLM_UserTable"') == []
        assert database.query('SELECT tag_name FROM "LiteLLM_TagTable"') == []
        assert database.query('SELECT user_id, spend FROM "LiteLLM_DailyUserSpend"') == [("alice", 0.5)]
