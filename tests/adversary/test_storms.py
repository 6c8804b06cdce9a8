"""Sessions create, alter and drop tables without end. They delay no fold, and no fold misses a change of a target."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import counted, spend_record, spend_records, totals

SESSIONS, FOLDS = 6, 15
TEMPORARY = "CREATE TEMPORARY TABLE made (a int PRIMARY KEY, b text); DROP TABLE made"
# This runs beside a fold, and tells every session that the table has changed.
ALTERATION = 'ALTER TABLE "LiteLLM_UserTable" ALTER COLUMN spend SET STATISTICS {}'


@contextmanager
def storm(database: Database, *statements: str) -> Iterator[None]:
    """Sessions that each run one of the statements again and again."""
    stop = threading.Event()

    def run(statement: str) -> None:
        with database.connect() as connection:
            while not stop.is_set():
                connection.execute(statement)

    with ThreadPoolExecutor() as pool:
        sessions = [pool.submit(run, statement) for statement in statements]
        try:
            yield
        finally:
            stop.set()
        for session in sessions:
            session.result()


@pytest.mark.parametrize(
    "statements",
    [[TEMPORARY] * SESSIONS, [ALTERATION.format(target) for target in range(SESSIONS)]],
    ids=["temporary tables", "a target"],
)
def test_tables_that_others_make_and_alter_hold_no_fold(database: Database, statements: list[str]) -> None:
    database.record(spend_record(request_id="first"))
    database.wait_folded()
    with storm(database, *statements):
        for fold in range(FOLDS):
            database.record(spend_records(2, f"fold-{fold}"))
            database.wait_folded()
    assert counted(database) == 1 + 2 * FOLDS
    held = [line for line in database.cluster.log().splitlines() if "holds the fold" in line]
    assert [line for line in held if f" {database.name} " in line] == []


@pytest.fixture
def session(unloaded_cluster: Cluster) -> Iterator[Database]:
    """A database whose one session folds, and remembers what it has looked up."""
    database = new_database(unloaded_cluster)
    fold(database)
    yield database
    discard(database)


def fold(database: Database, **fields: object) -> None:
    database.record(spend_record(**fields))
    database.fold()


def look_ups(session: Database) -> int:
    """Grows with how often folds have looked up the targets, because nothing else here reads this catalogue."""
    session.execute("SELECT pg_stat_force_next_flush()")
    return session.value("SELECT seq_scan + idx_scan FROM pg_stat_sys_tables WHERE relname = 'pg_partitioned_table'")


def test_a_fold_looks_nothing_up_for_tables_that_are_no_targets(session: Database) -> None:
    before = look_ups(session)
    with session.connect() as other:
        for _ in range(3):
            other.execute(TEMPORARY)
            fold(session)
    assert look_ups(session) == before


def test_a_fold_looks_the_targets_up_twice_at_most_however_often_they_change(session: Database) -> None:
    before = look_ups(session)
    session.execute(ALTERATION.format(50))
    fold(session)
    once = look_ups(session) - before
    assert once > 0
    with storm(session, *(ALTERATION.format(target) for target in range(SESSIONS))):
        before = look_ups(session)
        for _ in range(FOLDS):
            fold(session)
        assert look_ups(session) - before <= 2 * FOLDS * once


REPLACE = """
    ALTER TABLE "LiteLLM_DailyTeamSpend" RENAME TO old;
    CREATE TABLE "LiteLLM_DailyTeamSpend" (LIKE old INCLUDING ALL)"""


def test_a_table_in_the_place_of_a_target_is_written_from_the_next_fold_on(session: Database) -> None:
    for round_, name in enumerate(("first", "second")):
        session.execute(REPLACE.replace("old", name))
        fold(session)
        assert session.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyTeamSpend"') == 1, round_
    assert totals(session)["logs"][0] == 3


def test_a_table_of_another_schema_in_the_place_of_a_target_is_written_from_the_next_fold_on(session: Database) -> None:
    session.execute("""
        CREATE SCHEMA next;
        CREATE TABLE next."LiteLLM_SpendLogs" (LIKE public."LiteLLM_SpendLogs" INCLUDING DEFAULTS);
        ALTER TABLE next."LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id);
        ALTER TABLE public."LiteLLM_SpendLogs" RENAME TO old;
        ALTER INDEX public."LiteLLM_SpendLogs_pkey" RENAME TO old_pkey;
        ALTER TABLE next."LiteLLM_SpendLogs" SET SCHEMA public""")
    fold(session)
    assert session.value('SELECT count(*) FROM public."LiteLLM_SpendLogs"') == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            """DO $$ BEGIN EXECUTE (SELECT format('DROP INDEX %s', i.indexrelid::regclass) FROM pg_index i
               WHERE i.indrelid = '"LiteLLM_DailyTeamSpend"'::regclass AND i.indisunique AND NOT i.indisprimary);
               END $$""",
            "has no valid unique index",
        ),
        ('CREATE RULE r AS ON INSERT TO "LiteLLM_TeamTable" DO ALSO NOTHING', "rule r of"),
        (
            'ALTER TABLE "LiteLLM_TeamTable" RENAME TO away; CREATE VIEW "LiteLLM_TeamTable" AS SELECT 1',
            "is not a table",
        ),
    ],
    ids=["unique index", "rule", "view"],
)
def test_what_makes_a_target_unfit_is_seen_at_the_next_fold(session: Database, change: str, reason: str) -> None:
    session.execute(change)
    session.record(spend_record())
    with pytest.raises(Exception, match=reason):
        session.fold()
    assert counted(session) == 1
