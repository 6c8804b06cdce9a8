"""docs/cutover.md, as it is written there: LiteLLM's proxy comes to a database that create_tables() made.

Prisma's engine is not run: what `prisma migrate resolve` adds is its own table alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.types.json import Json

from conftest import discard, new_database
from harness.catalogue import differences, tables_of
from harness.cluster import Cluster
from harness.database import Database, Record
from harness.litellm_schema import NEWEST_WHEEL
from harness.postgres import PROJECT, bindir
from harness.records import assert_counted, spend_records

MIGRATE, CHANGE_OWNER = re.findall(
    r"^```sh\n(.*?)^```", (PROJECT / "docs" / "cutover.md").read_text(), re.MULTILINE | re.DOTALL
)
# The two rows of a day that differ in nothing but the endpoint: under LiteLLM's older unique key they collide.
RECORDS = spend_records(20, "chat") + spend_records(10, "embedding", call_type="aembedding")
VIEWS = "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = %s::regnamespace ORDER BY 1"
NUMBER_OF_TABLES = "SELECT count(*) FROM pg_tables WHERE tablename ^@ 'LiteLLM_'"


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


def run(block: str, database: Database, schema: str, folder: Path) -> str:
    """A block of the document, beside the unpacked package, and what it printed."""
    package = folder / "litellm_proxy_extras"
    package.mkdir(exist_ok=True)
    NEWEST_WHEEL.migration_files()
    if not (package / "migrations").exists():
        (package / "migrations").symlink_to(NEWEST_WHEEL.folder)
    environment = {
        **os.environ,
        "PATH": f"{bindir()}:{os.environ['PATH']}",
        "DATABASE_URL": database.url,
        "PGOPTIONS": f"-c search_path={schema}",
    }
    done = subprocess.run(["bash", "-c", block], cwd=folder, env=environment, capture_output=True, text=True)
    log = folder / "cutover.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    return done.stdout


@contextmanager
def recording(database: Database) -> Iterator[tuple[list[Record], set[int]]]:
    """An application that records until the end of the block: what it has recorded, and the numbers of LiteLLM's
    tables that it saw."""
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
        assert run(MIGRATE, empty_database, schema, tmp_path) == "ready for the proxy\n"
    empty_database.wait_folded()
    assert differences(tables_of(migrated), tables_of(empty_database, schema)) == []
    discard(migrated)
    assert empty_database.query(VIEWS, schema) == views
    # Nobody saw it half done: between two migrations a fold would find an older unique key.
    assert len(seen) <= 2 and meanwhile
    assert_counted(empty_database, RECORDS + meanwhile)
    later = spend_records(5, "later")
    empty_database.record(later)
    empty_database.wait_folded()
    assert_counted(empty_database, RECORDS + meanwhile + later)
    # What was there and what came later share the day's rows.
    assert len(empty_database.query('SELECT FROM "LiteLLM_DailyUserSpend"')) == 2


def test_a_failure_of_the_cut_over_is_told(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    # A view of the user's own, which keeps a migration from changing a column.
    empty_database.execute('CREATE VIEW mine AS SELECT * FROM "LiteLLM_DailyUserSpend"')
    assert "cannot alter type of a column used by a view" in run(MIGRATE, empty_database, "public", tmp_path)
    assert_counted(empty_database, RECORDS)


def test_the_proxys_role_can_be_given_the_tables(empty_database: Database, tmp_path: Path) -> None:
    made_by_create_tables(empty_database, "public")
    empty_database.execute("DO $$ BEGIN CREATE ROLE litellm_proxy; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    run(CHANGE_OWNER, empty_database, "public", tmp_path)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert empty_database.query(owners) == [("litellm_proxy",)]
    empty_database.record(spend_records(5, "later"))
    empty_database.wait_folded()
    assert empty_database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == len(RECORDS) + 5
    empty_database.execute("REASSIGN OWNED BY litellm_proxy TO CURRENT_USER")
    empty_database.execute("DROP ROLE litellm_proxy")
