"""Another session's changes of LiteLLM's tables take effect at the running worker's next fold. Neither waits
for the other for long (invariants 8 and 9)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records
from harness.waiting import wait_until

WORKER = "SELECT worker_pid FROM litellm_spend.status"
TAG_KEY = '"LiteLLM_DailyTagSpend" (tag, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint)'


@pytest.fixture
def database(database: Database) -> Iterator[Database]:
    """A database whose worker stays connected, because it waits for a prepared transaction with a staged row. In the
    end it must be the same worker."""
    with database.connect(autocommit=False) as connection:
        connection.execute("SELECT litellm_record_spend(%s)", (Jsonb(spend_record()),))
        connection.execute(f"PREPARE TRANSACTION '{database.name}'")
    database.record(spend_record(request_id="first", user="first"))
    database.wait_folded()
    worker = database.value(WORKER)
    yield database
    assert database.value(WORKER) == worker
    database.execute(f"ROLLBACK PREPARED '{database.name}'")


@pytest.fixture
def impatient(cluster: Cluster) -> Iterator[None]:
    """Let folds wait for locks as briefly as possible."""
    cluster.execute("ALTER SYSTEM SET litellm_spend.lock_timeout = '100 ms'")
    cluster.execute("SELECT pg_reload_conf()")
    yield
    cluster.execute("ALTER SYSTEM RESET litellm_spend.lock_timeout")
    cluster.execute("SELECT pg_reload_conf()")


def count(database: Database, user: str) -> None:
    database.record(spend_record(user=user))
    database.wait_folded()


def test_a_dropped_column_is_no_longer_written_and_an_added_one_is(database: Database) -> None:
    column = 'ALTER TABLE "LiteLLM_DailyUserSpend" {} COLUMN timed_requests'
    timed = 'SELECT user_id, timed_requests FROM "LiteLLM_DailyUserSpend" ORDER BY user_id'
    database.execute(column.format("DROP"))
    count(database, "second")
    database.execute(column.format("ADD") + " bigint NOT NULL DEFAULT 0")
    count(database, "third")
    assert database.query(timed) == [("first", 0), ("second", 0), ("third", 1)]


def test_a_table_is_written_from_when_it_is_there(database: Database) -> None:
    database.execute('CREATE TABLE made (LIKE "LiteLLM_DailyModelUsage" INCLUDING ALL)')
    database.execute('DROP TABLE "LiteLLM_DailyModelUsage"')
    count(database, "second")
    database.execute('ALTER TABLE made RENAME TO "LiteLLM_DailyModelUsage"')
    count(database, "third")
    assert database.value('SELECT request_count FROM "LiteLLM_DailyModelUsage"') == 1


@pytest.mark.parametrize(
    ("breaks", "mends", "reason"),
    [
        (
            'DROP INDEX "LiteLLM_DailyTagSpend_tag_date_api_key_model_custom_llm_pro_key"',
            f"CREATE UNIQUE INDEX ON {TAG_KEY}",
            "has no valid unique index on just (tag, date",
        ),
        (
            "ALTER SCHEMA public RENAME TO moved; CREATE SCHEMA public; SET search_path = moved",
            "DROP SCHEMA public; ALTER SCHEMA moved RENAME TO public; RESET search_path",
            'schema "public" has neither "LiteLLM_SpendLogs"',
        ),
    ],
    ids=["DROP INDEX", "ALTER SCHEMA RENAME"],
)
def test_what_breaks_a_target_holds_the_next_fold_until_it_is_mended(
    database: Database, breaks: str, mends: str, reason: str
) -> None:
    database.execute(breaks)
    database.record(spend_record(user="second"))
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert reason in database.status()["last_error"]
    database.execute(mends)
    count(database, "third")
    users = database.query('SELECT user_id FROM "LiteLLM_DailyUserSpend" ORDER BY 1')
    assert users == [("first",), ("second",), ("third",)]
    database.wait_for("SELECT last_error IS NULL FROM litellm_spend.status", True)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("table", ["LiteLLM_SpendLogs", "LiteLLM_DailyRequestErrors"])
def test_a_table_that_another_session_has_locked_holds_the_fold_which_locks_no_other(
    database: Database, table: str
) -> None:
    with database.connect(autocommit=False) as migration:
        migration.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        database.record(spend_record(user="second"))
        database.wait_for("SELECT worker FROM litellm_spend.status", "held")
        said = database.status()["last_error"]
        assert f'public."{table}" is locked by another session' in said and "goes on when the lock is released" in said
        migration.execute("SET lock_timeout = '5 s'")
        migration.execute('LOCK TABLE "LiteLLM_SpendLogs", "LiteLLM_UserTable", "LiteLLM_DailyRequestErrors"')
        migration.commit()
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 2


# A fold writes them in the reverse order.
MIGRATED = ("LiteLLM_DailyRequestErrors", "LiteLLM_DailyTagSpend", "LiteLLM_UserTable", "LiteLLM_SpendLogs")
ROUNDS = 10


def test_migrations_that_lock_in_the_opposite_order_never_die_of_a_deadlock(database: Database) -> None:
    def migrate() -> None:
        with database.connect(autocommit=False, options="-c deadlock_timeout=10ms") as connection:
            for _ in range(ROUNDS):
                for table in MIGRATED:
                    connection.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
                    # This is the work of the migration.
                    connection.execute("SELECT pg_sleep(0.01)")
                connection.commit()

    recorded = 1
    with ThreadPoolExecutor() as pool:
        migrations = [pool.submit(migrate) for _ in range(2)]
        while not all(migration.done() for migration in migrations):
            recorded += database.record(spend_record())
        for migration in migrations:
            migration.result()
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == recorded
    log = database.cluster.log().splitlines()
    assert [line for line in log if "deadlock detected" in line and f" {database.name} " in line] == []


def test_a_table_that_comes_while_a_fold_waits_for_its_turn_is_written(database: Database) -> None:
    """The fold's transaction is older than the table, and the fold must not remember the old catalogue."""
    rename = 'ALTER TABLE "{}" RENAME TO "{}"'
    database.execute(rename.format("LiteLLM_DailyTeamSpend", "away"))
    count(database, "second")
    with database.connect(autocommit=False) as turn:
        turn.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        database.record(spend_record(user="third", team_id="third"))
        database.wait_for(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = (SELECT worker_pid FROM litellm_spend.status)", 1
        )
        database.execute(rename.format("away", "LiteLLM_DailyTeamSpend"))
    database.wait_folded()
    database.record(spend_record(user="fourth", team_id="fourth"))
    database.wait_folded()
    teams = "SELECT team_id FROM \"LiteLLM_DailyTeamSpend\" WHERE team_id IN ('third', 'fourth') ORDER BY 1"
    assert database.query(teams) == [("fourth",), ("third",)]


def test_fold_waits_for_a_migration_and_counts_in_the_new_shape(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    database.record(spend_records(3))
    with database.connect(autocommit=False) as migration, database.connect() as caller:
        migration.execute("ALTER TABLE \"LiteLLM_UserTable\" ADD COLUMN added text NOT NULL DEFAULT ''")
        folded: list[int] = []
        fold = threading.Thread(target=lambda: folded.extend(caller.execute("SELECT litellm_spend.fold()").fetchone()))
        fold.start()
        # The fold holds the cursor, and no lock on a target.
        cursor = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'litellm_spend.fold_cursor'::regclass AND pid = %s"
        wait_until(lambda: database.value(cursor, caller.info.backend_pid))
        targets = "SELECT count(*) FROM pg_locks WHERE relation = '\"LiteLLM_TagTable\"'::regclass AND pid = %s"
        wait_until(lambda: database.value(targets, caller.info.backend_pid) == 0)
        migration.commit()
        fold.join()
    assert folded == [3]
    assert_counted(database, [*spend_records(3)])
