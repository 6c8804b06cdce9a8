"""Another session writes LiteLLM's tables while a fold does. Each amount counts once, and only a fold may die of a
deadlock (invariants 2 and 8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from harness.database import Database
from harness.records import spend_record
from harness.waiting import wait_until

END_USERS = 'SELECT user_id, spend FROM "LiteLLM_EndUserTable" ORDER BY user_id'
FOLD_WAITS = "datname = current_database() AND query = 'litellm_spend fold' AND wait_event_type = 'Lock'"
WAITING = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {FOLD_WAITS}"

WAITED = f"{WAITING} AND query_start < clock_timestamp() - interval '1200 ms'"


@pytest.fixture
def database(database: Database) -> Database:
    database.execute("INSERT INTO \"LiteLLM_EndUserTable\" (user_id, spend, blocked) VALUES ('e1', 1, false)")
    return database


@contextmanager
def other_writer(database: Database, setting: str = "deadlock_timeout=1s") -> Iterator[psycopg.Connection]:
    """A transaction of another writer, which commits in the end."""
    with database.connect(autocommit=False, options=f"-c {setting}") as connection:
        yield connection
        connection.commit()


def spend_on(database: Database, *end_users: str) -> None:
    database.record([spend_record(end_user=end_user, user="", team_id="", request_tags=[]) for end_user in end_users])


def test_a_row_that_comes_while_the_fold_waits_for_another_is_added_to_once(database: Database) -> None:
    with other_writer(database) as proxy:
        proxy.execute("UPDATE \"LiteLLM_EndUserTable\" SET spend = 2 WHERE user_id = 'e1'")
        proxy.execute("INSERT INTO \"LiteLLM_EndUserTable\" (user_id, spend, blocked) VALUES ('e2', 10, false)")
        spend_on(database, "e1", "e2", "e2")
        database.wait_for(WAITING, True)
    database.wait_folded()
    assert database.query(END_USERS) == [("e1", 2.25), ("e2", 10.5)]
    assert database.value("SELECT spend FROM \"LiteLLM_DailyEndUserSpend\" WHERE end_user_id = 'e2'") == 0.5


def test_a_writer_that_makes_rows_in_byte_order_meets_no_deadlock(database: Database) -> None:
    with other_writer(database, "deadlock_timeout=10ms") as proxy:
        proxy.execute("INSERT INTO \"LiteLLM_EndUserTable\" (user_id, spend, blocked) VALUES ('a9', 10, false)")
        spend_on(database, "a9", "e1")
        database.wait_for(WAITING, True)
        proxy.execute("UPDATE \"LiteLLM_EndUserTable\" SET spend = spend + 1 WHERE user_id = 'e1'")
    database.wait_folded()
    assert database.query(END_USERS) == [("a9", 10.25), ("e1", 2.25)]


@pytest.mark.parametrize("held", ["E9", "a1"])
def test_rows_are_locked_one_after_the_other_in_byte_order(database: Database, held: str) -> None:
    """LiteLLM locks rows in byte order. The order of a language would put a1 before E9."""
    # A Postgres that was built without ICU has only byte orders.
    if database.value("SELECT count(*) FROM pg_collation WHERE collname = 'en-x-icu'"):
        database.execute('ALTER TABLE "LiteLLM_EndUserTable" ALTER COLUMN user_id TYPE text COLLATE "en-x-icu"')
    database.execute("INSERT INTO \"LiteLLM_EndUserTable\" (user_id, blocked) VALUES ('a1', false), ('E9', false)")
    unlocked = "SELECT user_id FROM \"LiteLLM_EndUserTable\" WHERE user_id IN ('a1', 'E9') FOR UPDATE SKIP LOCKED"
    fold_under_way = f"SELECT query_start FROM pg_stat_activity WHERE {FOLD_WAITS}"

    def free_while_the_fold_waits() -> set[str] | None:
        before, free, after = (database.query(query) for query in (fold_under_way, unlocked, fold_under_way))
        return {user for (user,) in free} if before and before == after else None

    with other_writer(database) as proxy:
        proxy.execute('UPDATE "LiteLLM_EndUserTable" SET spend = 2 WHERE user_id = %s', (held,))
        spend_on(database, "a1", "E9")
        expected = {"a1"} if held == "E9" else set()
        seen = []
        wait_until(lambda: seen.append(free_while_the_fold_waits()) or seen[-1] is not None, what="the fold to wait")
        assert seen[-1] == expected
    database.wait_folded()
    spent = {"a1": 0.25, "E9": 0.25, held: 2.25}
    assert dict(database.query(f"SELECT * FROM ({END_USERS}) AS u WHERE user_id <> 'e1'")) == spent


def test_a_migration_that_closes_a_circle_with_the_fold_lives(database: Database) -> None:
    database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('alice')")
    with other_writer(database) as migration:
        migration.execute("UPDATE \"LiteLLM_UserTable\" SET models = '{}' WHERE user_id = 'alice'")
        database.record(spend_record())
        # A fold that waited longer than deadlock_timeout would not look for a circle again, but the migration would.
        database.wait_for(f"SELECT ({WAITED}) OR last_error ~ 'are locked by' FROM litellm_spend.status", True)
        migration.execute('ALTER TABLE "LiteLLM_TeamTable" ADD COLUMN later text')
    database.wait_folded()
    assert database.value("SELECT spend FROM \"LiteLLM_UserTable\" WHERE user_id = 'alice'") == 0.25


def test_no_row_is_locked_while_a_new_window_adds_up_the_log(database: Database) -> None:
    """Adding up takes minutes where the log is large. LiteLLM's own writers would meanwhile run into their timeouts."""
    key = hashlib.sha256(b"windowed").hexdigest()
    limits = json.dumps([{"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}])
    database.execute('INSERT INTO "LiteLLM_VerificationToken" (token, budget_limits) VALUES (%s, %s)', key, limits)
    # Only readers reach this part of the log.
    database.execute('CREATE TABLE old_log () INHERITS ("LiteLLM_SpendLogs")')
    with other_writer(database) as other:
        other.execute("LOCK TABLE old_log IN ACCESS EXCLUSIVE MODE")
        database.record(spend_record(api_key=key, end_user="e1"))
        database.wait_for(f"{WAITING} AND wait_event = 'relation'", True)
        with other_writer(database) as proxy:
            for table, column, name in (("VerificationToken", "token", key), ("EndUserTable", "user_id", "e1")):
                proxy.execute(f'SELECT FROM "LiteLLM_{table}" WHERE {column} = %s FOR UPDATE NOWAIT', (name,))
    database.wait_folded()
    assert database.value('SELECT spend FROM "LiteLLM_BudgetWindowSpend"') == 0.25


def test_a_time_limit_for_transactions_ends_no_worker(database: Database) -> None:
    if database.value("SELECT current_setting('server_version_num')::int") < 170000:
        pytest.skip("transaction_timeout came with Postgres 17")
    database.execute(f"ALTER DATABASE \"{database.name}\" SET transaction_timeout = '100 ms'")
    database.wait_for("SELECT worker_pid IS NULL FROM litellm_spend.status", True)
    with other_writer(database, "transaction_timeout=0") as proxy:
        proxy.execute("UPDATE \"LiteLLM_EndUserTable\" SET spend = 2 WHERE user_id = 'e1'")
        spend_on(database, "e1")
        database.wait_for("SELECT last_error ~ 'are locked by' FROM litellm_spend.status", True)
    database.wait_folded()
    assert database.query(END_USERS) == [("e1", 2.25)]
