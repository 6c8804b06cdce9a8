"""The blocks of docs/cutover.md for a database that create_tables() made, as they are written there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.types.json import Json

import versions
from conftest import discard, new_database
from harness.catalogue import differences, tables_of
from harness.cluster import Cluster
from harness.database import Database, Record
from harness.litellm_schema import NEWEST_WHEEL
from harness.records import assert_counted, spend_records

from .documented import CHANGE_OWNER, DROP_VIEWS, MIGRATE, ROLLED_BACK
from .server import environment
from .shell import run, unpack_migrations

# Two rows of a day that differ only in the endpoint. They collide under LiteLLM's older unique key.
RECORDS = spend_records(20, "chat") + spend_records(10, "embedding", call_type="aembedding")
VIEWS = "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = %s::regnamespace ORDER BY 1"
NUMBER_OF_TABLES = "SELECT count(*) FROM pg_tables WHERE tablename ^@ 'LiteLLM_'"
MIGRATIONS = """SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL, logs
                  FROM _prisma_migrations ORDER BY migration_name COLLATE "C\""""
# The owners of all objects in the schema public, except the extension's one function there.
OWNERS = """
    SELECT 'table', pg_get_userbyid(relowner) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
    UNION SELECT 'type', pg_get_userbyid(typowner) FROM pg_type
           WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
    UNION SELECT 'function', pg_get_userbyid(proowner) FROM pg_proc
           WHERE pronamespace = 'public'::regnamespace AND proname <> 'litellm_record_spend'"""
MIGRATED_BEFORE = "these tables have been migrated before"
PROXY = versions.LITELLM_PROXY[-1]
DEPLOY = "prisma migrate deploy --schema litellm_proxy_extras/schema.prisma"


def made_by_create_tables(database: Database, schema: str) -> None:
    """An extension, its tables in this schema, and spend in them."""
    database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    for setting, value in {"litellm_spend.target_schema": schema, "search_path": f"{schema}, public"}.items():
        database.execute(f'ALTER DATABASE "{database.name}" SET {setting} = {value}')
    database.close()
    database.execute("CREATE EXTENSION litellm_spend SCHEMA public")
    database.execute("SELECT litellm_spend.create_tables()")
    database.record(RECORDS)
    database.wait_folded()


@contextmanager
def recording(database: Database) -> Iterator[tuple[list[Record], set[int]]]:
    """An application that records until the end of the block. Yields its records, and the numbers of LiteLLM tables
    that it saw."""
    sent: list[Record] = []
    seen: set[int] = set()
    stop = threading.Event()

    def record() -> None:
        with database.connect() as connection:
            while not stop.wait(0.02):
                records = spend_records(5, f"meanwhile-{len(sent)}")
                connection.execute("SELECT litellm_record_spend(%s::jsonb)", (Json(records),))
                sent.extend(records)
                seen.add(connection.execute(NUMBER_OF_TABLES).fetchone()[0])

    application = threading.Thread(target=record)
    application.start()
    try:
        yield sent, seen
    finally:
        stop.set()
        application.join()


@pytest.mark.parametrize("schema", ["public", "gateway"])
def test_a_proxy_can_take_over_what_create_tables_made(
    cluster: Cluster, empty_database: Database, schema: str, tmp_path: Path
) -> None:
    migrated = new_database(cluster, schema=NEWEST_WHEEL)
    made_by_create_tables(empty_database, schema)
    views = empty_database.query(VIEWS, schema)
    with recording(empty_database) as (meanwhile, seen):
        assert run(MIGRATE, empty_database, tmp_path, schema=schema) == "ready for the proxy\n"
    empty_database.wait_folded()
    tables = tables_of(empty_database, schema)
    del tables["_prisma_migrations"]
    assert differences(tables_of(migrated), tables) == []
    discard(migrated)
    assert empty_database.query(VIEWS, schema) == views
    # Nobody saw it half done, because between two migrations a fold would find an older unique key.
    assert len(seen) <= 2 and meanwhile
    assert_counted(empty_database, RECORDS + meanwhile)
    later = spend_records(5, "later")
    empty_database.record(later)
    empty_database.wait_folded()
    assert_counted(empty_database, RECORDS + meanwhile + later)
    # Old and new records share the day's rows.
    assert len(empty_database.query('SELECT FROM "LiteLLM_DailyUserSpend"')) == 2


def test_a_failure_of_the_cut_over_is_told(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    # A view of the user's own, which keeps a migration from changing a column.
    empty_database.execute('CREATE VIEW mine AS SELECT * FROM "LiteLLM_DailyUserSpend"')
    said = run(MIGRATE, empty_database, tmp_path, fails=True)
    assert "cannot alter type of a column used by a view" in said and "ready" not in said
    assert_counted(empty_database, RECORDS)


def test_the_cut_over_runs_once(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    run(MIGRATE, empty_database, tmp_path)
    tables, migrations = tables_of(empty_database), empty_database.query(MIGRATIONS)
    assert MIGRATED_BEFORE in run(MIGRATE, empty_database, tmp_path, fails=True)
    assert (tables_of(empty_database), empty_database.query(MIGRATIONS)) == (tables, migrations)


def test_a_cut_over_beside_another_one_or_beside_a_proxy_that_starts_waits_and_sees_it(
    empty_database: Database, tmp_path: Path
) -> None:
    made_by_create_tables(empty_database, "public")
    with ThreadPoolExecutor(1) as thread, empty_database.connect(autocommit=False) as other:
        other.execute("SELECT pg_advisory_xact_lock(72707369)")
        waits = thread.submit(run, MIGRATE, empty_database, tmp_path, fails=True)
        empty_database.wait_for("SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'advisory'", 1)
        other.execute("CREATE TABLE _prisma_migrations ()")
        other.commit()
        assert MIGRATED_BEFORE in waits.result()


@pytest.mark.parametrize(
    ("address", "said"),
    [("postgresql://127.0.0.1:1/x", "psql: error"), ("{url}?schema=public", "invalid URI query parameter")],
)
def test_a_cut_over_that_reaches_no_database_says_so(
    empty_database: Database, tmp_path: Path, address: str, said: str
) -> None:
    by_operator = {**os.environ, "DATABASE_URL": address.format(url=empty_database.url)}
    printed = run(MIGRATE, empty_database, tmp_path, by_operator, fails=True)
    assert said in printed and "ready" not in printed


def test_a_cut_over_in_a_folder_without_migrations_changes_nothing(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    tables = tables_of(empty_database)
    assert run(f"mkdir elsewhere; cd elsewhere; {MIGRATE}", empty_database, tmp_path, fails=True) == ""
    assert tables_of(empty_database) == tables


def test_a_cut_over_where_the_tables_are_in_another_schema_changes_nothing(
    empty_database: Database, tmp_path: Path
) -> None:
    made_by_create_tables(empty_database, "gateway")
    tables = tables_of(empty_database, "gateway")
    assert "are in another schema" in run(MIGRATE, empty_database, tmp_path, fails=True)
    assert (tables_of(empty_database, "gateway"), tables_of(empty_database)) == (tables, {})


def test_a_cut_over_that_cannot_hash_a_migration_changes_nothing(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    tables = tables_of(empty_database)
    assert run(f"sha256sum() {{ return 1; }}; {MIGRATE}", empty_database, tmp_path, fails=True) == ""
    assert tables_of(empty_database) == tables


def test_a_cut_over_that_is_cut_short_changes_nothing(empty_database: Database, tmp_path: Path) -> None:
    """Stands for another run that writes its script again while psql reads it."""
    made_by_create_tables(empty_database, "public")
    tables = tables_of(empty_database)
    cut = 'psql() { truncate -s 60K cutover.sql; command psql "$@"; }'
    assert "ready" not in run(f"{cut}; {MIGRATE}", empty_database, tmp_path, fails=True)
    assert tables_of(empty_database) == tables


def test_a_cut_over_waits_for_its_turn_whatever_the_database_lets_a_lock_take(
    empty_database: Database, tmp_path: Path
) -> None:
    made_by_create_tables(empty_database, "public")
    for name in ("lock_timeout", "statement_timeout"):
        empty_database.execute(f'ALTER DATABASE "{empty_database.name}" SET {name} = 300')
    with ThreadPoolExecutor(1) as thread, empty_database.connect(autocommit=False) as other:
        other.execute("SELECT pg_advisory_xact_lock(72707369)")
        waits = thread.submit(run, MIGRATE, empty_database, tmp_path)
        empty_database.wait_for(
            """SELECT count(*)::int FROM pg_stat_activity
                WHERE wait_event = 'advisory' AND now() - query_start > '1 s'""",
            1,
        )
        other.commit()
        assert waits.result() == "ready for the proxy\n"


def test_prisma_finds_the_record_that_it_would_have_written(
    cluster: Cluster, empty_database: Database, tmp_path: Path
) -> None:
    by_prisma = new_database(cluster, template="template1", extension=False)
    run(DEPLOY, by_prisma, tmp_path, environment(PROXY, by_prisma.url))
    made_by_create_tables(empty_database, "public")
    run(MIGRATE, empty_database, tmp_path)
    assert tables_of(empty_database)["_prisma_migrations"] == tables_of(by_prisma)["_prisma_migrations"]
    assert empty_database.query(MIGRATIONS) == by_prisma.query(MIGRATIONS)
    discard(by_prisma)
    answer = run(DEPLOY, empty_database, tmp_path, environment(PROXY, empty_database.url))
    assert "No pending migrations to apply" in answer


def test_a_later_migration_that_a_view_stopped_goes_on_without_it(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    run(MIGRATE, empty_database, tmp_path)
    views = empty_database.query(VIEWS, "public")
    # One of LiteLLM's.
    empty_database.execute('CREATE VIEW "Last30dModelsBySpend" AS SELECT model FROM "LiteLLM_SpendLogs"')
    later = unpack_migrations(tmp_path) / "migrations" / "20990101000000_longer_models"
    later.mkdir()
    (later / "migration.sql").write_text('ALTER TABLE "LiteLLM_SpendLogs" ALTER COLUMN "model" TYPE varchar(9999);')
    of_proxy = environment(PROXY, empty_database.url)
    refused = run(f"{DEPLOY} 2>&1 || true", empty_database, tmp_path, of_proxy)
    assert "cannot alter type of a column used by a view" in refused and later.name in refused
    run(DROP_VIEWS, empty_database, tmp_path)
    run(ROLLED_BACK.replace("NAME_OF_THE_MIGRATION", later.name), empty_database, tmp_path, of_proxy)
    assert "All migrations have been successfully applied" in run(DEPLOY, empty_database, tmp_path, of_proxy)
    empty_database.execute("SELECT litellm_spend.create_tables()")
    assert empty_database.query(VIEWS, "public") == views
    more = spend_records(5, "later")
    empty_database.record(more)
    empty_database.wait_folded()
    assert_counted(empty_database, RECORDS + more)


def test_the_proxys_role_can_be_given_the_tables(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    empty_database.execute("DO $$ BEGIN CREATE ROLE litellm_proxy; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    run(MIGRATE, empty_database, tmp_path)
    run(CHANGE_OWNER, empty_database, tmp_path)
    assert set(empty_database.query(OWNERS)) == {(kind, "litellm_proxy") for kind in ("table", "type", "function")}
    empty_database.execute("SET ROLE litellm_proxy")
    empty_database.record(spend_records(5, "later"))
    empty_database.execute("RESET ROLE")
    empty_database.wait_folded()
    assert empty_database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == len(RECORDS) + 5
    empty_database.execute("REASSIGN OWNED BY litellm_proxy TO CURRENT_USER")
    empty_database.execute("DROP OWNED BY litellm_proxy")
    empty_database.execute("DROP ROLE litellm_proxy")


def test_the_proxys_role_is_given_nothing_that_somebody_else_has_named_so(
    empty_database: Database, tmp_path: Path
) -> None:
    made_by_create_tables(empty_database, "public")
    for role in ("litellm_proxy", "mallory"):
        empty_database.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    empty_database.execute("GRANT CREATE, USAGE ON SCHEMA public TO mallory")
    empty_database.execute("SET ROLE mallory")
    # If the proxy's role owned this function, the text of its author would run with that role's rights.
    empty_database.execute("""CREATE FUNCTION litellm_trap() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
                              AS 'BEGIN RETURN NEW; END'""")
    empty_database.execute('CREATE TABLE "LiteLLM_Trap" ()')
    empty_database.execute('CREATE TRIGGER trap BEFORE INSERT ON "LiteLLM_Trap" EXECUTE FUNCTION litellm_trap()')
    empty_database.execute("RESET ROLE")
    run(CHANGE_OWNER, empty_database, tmp_path)
    assert set(empty_database.query(OWNERS)) >= {("table", "mallory"), ("function", "mallory")}
    for role in ("litellm_proxy", "mallory"):
        empty_database.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        empty_database.execute(f"DROP OWNED BY {role}")
        empty_database.execute(f"DROP ROLE {role}")
