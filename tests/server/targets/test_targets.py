"""The view litellm_spend.targets shows what a fold does with each of LiteLLM's tables (invariants 9 and 10)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_tables import FOLDED
from harness.records import assert_counted, spend_records

# A fold creates one budget, for the organizations that it creates, and adds no spend to that table.
TARGETS = FOLDED.keys() - {"LiteLLM_BudgetTable"}
ONE = "SELECT found, action, columns_unknown, reason FROM litellm_spend.targets WHERE target = %s"


@pytest.fixture
def monitor(cluster: Cluster) -> Iterator[str]:
    """A login role that may monitor."""
    cluster.execute("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
    yield "monitor"
    cluster.execute("DROP ROLE monitor")


@pytest.fixture
def stranger(cluster: Cluster) -> Iterator[str]:
    """A login role without any privilege."""
    cluster.execute("CREATE ROLE stranger LOGIN")
    yield "stranger"
    cluster.execute("DROP ROLE stranger")


def test_every_table_of_the_newest_litellm_is_written_and_none_has_an_unknown_column(
    shared_database: Database,
) -> None:
    rows = shared_database.rows("SELECT * FROM litellm_spend.targets")
    assert {row["target"] for row in rows} == TARGETS
    for row in rows:
        assert row["found"] and row["action"] == "written" and row["reason"] is None, row
        assert row["columns_written"] and row["columns_unknown"] == [], row


def test_the_log_and_what_belongs_to_it_are_skipped_where_it_is_switched_off(shared_database: Database) -> None:
    shared_database.execute("SET litellm_spend.write_spend_logs = off")
    skipped = dict(shared_database.query("SELECT target, reason FROM litellm_spend.targets WHERE action <> 'written'"))
    shared_database.execute("RESET litellm_spend.write_spend_logs")
    logged = ("LiteLLM_SpendLogs", "LiteLLM_SpendLogToolIndex", "LiteLLM_DailyToolSpend")
    assert skipped == dict.fromkeys(logged, "litellm_spend.write_spend_logs is off")


def test_a_table_that_is_not_there_is_skipped_and_the_others_are_written(database: Database) -> None:
    database.execute('DROP TABLE "LiteLLM_DailyModelUsage", "LiteLLM_ProjectTable" CASCADE')
    for table in ("LiteLLM_DailyModelUsage", "LiteLLM_ProjectTable"):
        assert database.query(ONE, table) == [(False, "skipped", [], "the schema has no such table")]
    records = spend_records(3, project_id="p")
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)


def test_a_column_that_came_later_is_unknown_and_keeps_its_default(database: Database) -> None:
    database.execute('ALTER TABLE "LiteLLM_DailyUserSpend" ADD COLUMN novelty int NOT NULL DEFAULT 7')
    assert database.query(ONE, "LiteLLM_DailyUserSpend") == [(True, "written", ["novelty"], None)]
    database.record(spend_records(2))
    database.wait_folded()
    assert database.query('SELECT spend, novelty FROM "LiteLLM_DailyUserSpend"') == [(0.5, 7)]


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (
            'ALTER TABLE "LiteLLM_TeamTable" RENAME TO kept; CREATE VIEW "LiteLLM_TeamTable" AS SELECT * FROM kept',
            'public."LiteLLM_TeamTable" is not a table',
        ),
        (
            'ALTER TABLE "LiteLLM_TeamTable" DROP CONSTRAINT "LiteLLM_TeamTable_pkey" CASCADE',
            'public."LiteLLM_TeamTable" has no valid unique index on just (team_id)',
        ),
    ],
    ids=["a view in its place", "no unique index"],
)
def test_a_table_that_is_not_as_it_must_be_is_held_and_so_is_the_fold(
    database: Database, breaks: str, reason: str
) -> None:
    database.execute(breaks)
    [(found, action, _, told)] = database.query(ONE, "LiteLLM_TeamTable")
    assert (found, action) == (True, "held") and told.startswith(reason), told
    database.record(spend_records(2))
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert database.status()["last_error"].startswith(reason)
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 0


def test_what_may_change_a_write_is_named(database: Database) -> None:
    database.execute("""
        ALTER TABLE "LiteLLM_UserTable" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE RULE diverts AS ON DELETE TO "LiteLLM_TagTable" DO ALSO NOTHING;
        CREATE FUNCTION public.same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER "Before" BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.same();
        CREATE TRIGGER after AFTER INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.same()""")
    told = dict(database.query("SELECT target, reason FROM litellm_spend.targets WHERE reason IS NOT NULL"))
    assert told == {
        "LiteLLM_UserTable": "row security is forced on its owner",
        "LiteLLM_TagTable": "rule diverts rewrites deletions",
        "LiteLLM_SpendLogs": 'trigger "Before" may change or suppress rows',
    }


def test_who_monitors_may_read_the_view(shared_database: Database, monitor: str) -> None:
    with shared_database.connect(user=monitor) as connection:
        rows = connection.execute("SELECT target FROM litellm_spend.targets WHERE action = 'written'").fetchall()
    assert {target for (target,) in rows} == TARGETS


@pytest.mark.parametrize("relation", ["litellm_spend.targets", "litellm_spend.list_targets()"])
def test_nobody_else_may_read_it(shared_database: Database, stranger: str, relation: str) -> None:
    with shared_database.connect(user=stranger) as connection, pytest.raises(psycopg.Error) as error:
        connection.execute(f"SELECT * FROM {relation}")
    assert error.value.sqlstate == "42501"


def test_a_view_in_place_of_a_table_that_is_only_read_holds_nothing(database: Database) -> None:
    table = '"LiteLLM_DeprecatedVerificationToken"'
    database.execute(f"ALTER TABLE {table} RENAME TO moved; CREATE VIEW {table} AS SELECT * FROM moved")
    records = spend_records(2)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)


def test_a_table_without_spend_is_there_and_skipped(database: Database) -> None:
    database.execute('ALTER TABLE "LiteLLM_AgentsTable" DROP COLUMN spend')
    assert database.query(ONE, "LiteLLM_AgentsTable") == [(True, "skipped", [], "it has no column spend")]
