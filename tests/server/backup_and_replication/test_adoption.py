"""Records that were pending in a restored dump count once after adopt(), and counted records do not count again."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.postgres import bindir
from harness.records import assert_counted, counted, spend_record, spend_records

# Nothing here remembers the request of a row, so only the cursor keeps it from being counted again.
FORGET = 'TRUNCATE "LiteLLM_SpendLogs"'
RESTORING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pg_restore'"""


def dump(database: Database, file: Path) -> Path:
    """A dump in pg_dump's custom format, or in plain SQL if the file's name says so."""
    form = "plain" if file.suffix == ".sql" else "custom"
    subprocess.run([bindir() / "pg_dump", "-F", form, "-f", file, database.url], check=True)
    return file


@contextmanager
def restored(cluster: Cluster, file: Path) -> Iterator[Database]:
    """A database restored from the dump. It is dropped at the end."""
    copy = Database(cluster, f"restored_{file.stem}")
    cluster.create_database(copy.name, template="template0")
    try:
        if file.suffix == ".sql":
            cluster.psql("-f", str(file), database=copy.name)
        else:
            subprocess.run([bindir() / "pg_restore", "--exit-on-error", "-j2", "-d", copy.url, file], check=True)
            # pg_restore's sessions end a moment after it. Until then adopt() refuses.
            copy.wait_for(RESTORING, 0)
        yield copy
    finally:
        copy.close()
        cluster.drop_database(copy.name)


def adopt(database: Database) -> int:
    return database.value("SELECT litellm_spend.adopt()")


@contextmanager
def held_cursor(database: Database) -> Iterator[None]:
    """Nothing can be folded meanwhile, but pg_dump can run."""
    with database.connect(autocommit=False) as holder:
        holder.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        yield


@pytest.mark.parametrize("file", ["pending.sql", "pending.dump"])
def test_what_was_pending_in_a_dump_is_counted_once(
    cluster: Cluster, database: Database, tmp_path: Path, file: str
) -> None:
    database.record(spend_records(5, "before"))
    database.wait_folded()
    with held_cursor(database):
        database.record(spend_records(7, "pending"))
        dump(database, tmp_path / file)
    with restored(cluster, tmp_path / file) as copy:
        copy.execute(FORGET)
        copy.record(spend_records(3, "later"))
        copy.wait_folded()
        assert counted(copy) == 3
        assert copy.status()["foreign_rows"] == 7
        assert "litellm_spend.adopt()" in copy.status()["advice"]
        assert adopt(copy) == 7
        assert adopt(copy) == 0
        copy.wait_folded()
        assert counted(copy) == 10
        assert copy.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"') == 15
        assert (copy.status()["foreign_rows"], copy.status()["advice"]) == (0, None)


def test_a_dump_within_an_open_window_leaves_what_the_window_has_consumed(tmp_path: Path) -> None:
    with Cluster({"litellm_spend.batch_rows": "10", "litellm_spend.fold_rows": "10"}) as cluster:
        database = new_database(cluster)
        poison = """CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN IF (SELECT count(*) > 19 FROM public."LiteLLM_SpendLogs") THEN RAISE 'not now'; END IF;
                    RETURN NEW; END$$"""
        database.execute(poison)
        trigger = 'CREATE TRIGGER poison BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION poison()'
        database.execute(trigger)
        database.record(spend_records(40, "window"))
        database.wait_for("SELECT max(position_seq) FROM litellm_spend.fold_cursor", 19)
        with restored(cluster, dump(database, tmp_path / "window.dump")) as copy:
            copy.execute('DROP TRIGGER poison ON "LiteLLM_SpendLogs"')
            copy.execute(FORGET)
            assert adopt(copy) == 20
            copy.wait_folded()
            assert copy.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"') == 40
            ids = {request_id for (request_id,) in copy.query('SELECT request_id FROM "LiteLLM_SpendLogs"')}
            assert ids == {f"window-{index}" for index in range(20, 40)}


def test_a_dump_under_load_loses_nothing_and_counts_nothing_twice(
    cluster: Cluster, database: Database, tmp_path: Path
) -> None:
    stop, sent = threading.Event(), []

    def keep_recording() -> None:
        with database.connect() as connection:
            while not stop.is_set():
                sent.append(spend_record())
                connection.execute("SELECT litellm_record_spend(%s::jsonb)", (json.dumps(sent[-1]),))

    recorders = [threading.Thread(target=keep_recording) for _ in range(3)]
    for recorder in recorders:
        recorder.start()
    try:
        database.wait_for('SELECT count(*) > 50 FROM "LiteLLM_SpendLogs"', True)
        dump(database, tmp_path / "load.dump")
    finally:
        stop.set()
        for recorder in recorders:
            recorder.join()
    with restored(cluster, tmp_path / "load.dump") as copy:
        there = """SELECT payload->>'request_id' FROM litellm_spend.staging
                   UNION SELECT request_id FROM "LiteLLM_SpendLogs" """
        in_dump = {request_id for (request_id,) in copy.query(there)}
        new = spend_records(3, "new")
        copy.record(new)
        adopt(copy)
        copy.wait_folded()
        assert_counted(copy, [*(record for record in sent if record["request_id"] in in_dump), *new])


def test_adopting_beside_records_of_the_same_transaction_keeps_both(
    cluster: Cluster, database: Database, tmp_path: Path
) -> None:
    database.record(spend_record(request_id="first"))
    database.wait_folded()
    with held_cursor(database):
        database.record(spend_records(4, "pending"))
        dump(database, tmp_path / "both.dump")
    with restored(cluster, tmp_path / "both.dump") as copy:
        with copy.connect(autocommit=False) as caller:
            record = "SELECT litellm_record_spend(%s::jsonb)"
            caller.execute(record, (json.dumps(spend_records(2, "a")),))
            caller.execute("SELECT litellm_spend.adopt()")
            caller.execute(record, (json.dumps(spend_records(2, "b")),))
        numbers = copy.query("SELECT xid::text, array_agg(seq ORDER BY seq) FROM litellm_spend.staging GROUP BY xid")
        assert list(range(8)) in [numbers_of for _, numbers_of in numbers]
        copy.wait_folded()
        assert counted(copy) == 9


def test_adopt_refuses_while_pg_restore_is_at_work(database: Database) -> None:
    with database.connect(application_name="pg_restore"), pytest.raises(psycopg.Error) as error:
        adopt(database)
    assert error.value.sqlstate == "55000"
    assert "complete" in error.value.diag.message_hint


def test_only_the_owner_may_adopt(database: Database) -> None:
    assert not database.value("SELECT has_function_privilege('pg_monitor', 'litellm_spend.adopt()', 'execute')")


def test_what_was_postponed_in_a_dump_is_counted_once(cluster: Cluster, database: Database, tmp_path: Path) -> None:
    records = spend_records(4, "postponed")
    database.record(spend_record(request_id="before"))
    database.wait_folded()
    with database.connect(autocommit=False) as holder:
        holder.execute("UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'alice'")
        database.record(records)
        database.wait_for("SELECT postponed FROM litellm_spend.status", 4)
        dump(database, tmp_path / "postponed.sql")
    with restored(cluster, tmp_path / "postponed.sql") as copy:
        assert copy.value("SELECT litellm_spend.foreign_rows()") == 4
        assert adopt(copy) == 4
        copy.wait_folded()
        assert_counted(copy, [spend_record(request_id="before"), *records])
        assert adopt(copy) == 0
