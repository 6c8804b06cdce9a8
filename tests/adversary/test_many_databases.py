"""There are more databases than places on the board, or than processes. All are folded, and a lack is reported
(invariant 16)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from psycopg.types.json import Jsonb

from conftest import Tell, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.recorders import recorders
from harness.records import assert_counted, counted, spend_record, spend_records
from harness.waiting import wait_until

MAX_DATABASES = "litellm_spend.max_databases"
# A worker leaves as soon as it can, and a consumed segment waits for its truncation longer than any test.
PENDING_VISITS = {"litellm_spend.linger": "0", "litellm_spend.truncate_delay": "1h"}
DROP_LOG_KEY = 'ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"'
ADD_LOG_KEY = 'ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id)'
FAILPOINT = "litellm_spend.failpoint"


@pytest.fixture
def one_place() -> Iterator[Cluster]:
    with Cluster({**PENDING_VISITS, MAX_DATABASES: "1"}) as cluster:
        yield cluster
        assert cluster.crashes() == []


@pytest.fixture
def one_place_where_folds_hang() -> Iterator[Cluster]:
    """The server starts with the setting: after a reload a running worker does one more fold with the old one."""
    with Cluster({**PENDING_VISITS, MAX_DATABASES: "1", FAILPOINT: "before_commit:pause"}) as cluster:
        yield cluster
        assert cluster.crashes() == []


def databases(cluster: Cluster, count: int) -> list[Database]:
    made = [own_schema_database(cluster) for _ in range(count)]
    for database in made:
        database.wait_folded()
    return made


def hold(database: Database, records: list[dict]) -> None:
    """Make the database's fold fail. Only the log shows it, because another database may get the place at once."""
    database.execute(DROP_LOG_KEY)
    database.record(records)
    wait_until(lambda: "holds the fold" in database.cluster.log(), what="the fold to be held")


@contextmanager
def a_worker_that_stays(database: Database) -> Iterator[None]:
    """The worker hangs in the middle of a fold, because its server was started with that setting."""
    cluster = database.cluster
    database.record(spend_record())
    wait_until(lambda: "failpoint before_commit reached" in cluster.log(), what="the worker to hang")
    try:
        yield
    finally:
        cluster.execute(f"ALTER SYSTEM SET {FAILPOINT} = ''")
        cluster.execute("SELECT pg_reload_conf()")
        database.query("SELECT pg_terminate_backend(worker_pid) FROM litellm_spend.status")


def test_a_pending_truncation_keeps_no_place_from_another_database(one_place: Cluster) -> None:
    made = databases(one_place, 3)
    for round_ in ("first", "second"):
        for database in made:
            database.record(spend_records(2, round_))
            database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2 if round_ == "first" else 4)
    for database in made:
        database.wait_for("SELECT worker FROM litellm_spend.status", "idle")


def test_an_old_error_keeps_no_place_from_another_database(one_place: Cluster) -> None:
    held, other = databases(one_place, 2)
    hold(held, spend_records(2))
    # The test calls nothing of the extension while it waits, because a call would ask for a worker.
    other.record(spend_records(3, "other"))
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)


def test_a_dropped_extension_keeps_no_place(one_place: Cluster) -> None:
    held, other = databases(one_place, 2)
    hold(held, spend_records(2))
    held.execute("DROP EXTENSION litellm_spend")
    other.record(spend_records(3, "other"))
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    held.execute("CREATE EXTENSION litellm_spend")
    held.execute(ADD_LOG_KEY)
    records = spend_records(4)
    held.record(records)
    held.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 4)
    assert held.status()["last_error"] is None


def test_a_prepared_transaction_keeps_no_place_from_another_database(one_place: Cluster) -> None:
    waiting, other = databases(one_place, 2)

    def keeps_a_worker() -> bool:
        """False where a visit of the other database takes the place at once: the next attempt is then 30 s later."""
        with waiting.connect(autocommit=False) as session:
            session.execute("SELECT litellm_record_spend(%s)", (Jsonb(spend_records(2)),))
            session.execute("PREPARE TRANSACTION 'spend'")
        since = time.monotonic()
        while time.monotonic() < since + 2:
            if waiting.status()["worker"] == "running":
                return True
        waiting.execute("ROLLBACK PREPARED 'spend'")
        return False

    wait_until(keeps_a_worker, what="a worker that waits for the prepared transaction")
    other.record(spend_records(3, "other"))
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    waiting.execute("ROLLBACK PREPARED 'spend'")


def test_a_database_without_a_place_says_so_and_gets_one_as_soon_as_there_is_one(
    one_place_where_folds_hang: Cluster,
) -> None:
    busy, other = databases(one_place_where_folds_hang, 2)
    with a_worker_that_stays(busy):
        other.record(spend_records(2, "first"))
        other.wait_for("SELECT worker FROM litellm_spend.status", "crowded")
        assert MAX_DATABASES in other.status()["advice"]
        state, _, advice = other.query("SELECT * FROM litellm_spend.health()")[0]
        assert state == "degraded" and MAX_DATABASES in advice
        for segment in range(3):
            other.execute(f"UPDATE litellm_spend.staging_{segment} SET staged_at = staged_at - interval '1 day'")
        assert other.value("SELECT state FROM litellm_spend.health()") == "down"
        assert busy.status()["worker"] == "running"
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2)
    other.wait_for("SELECT state FROM litellm_spend.health()", "ok")


def test_databases_under_load_take_turns_in_one_place(one_place: Cluster) -> None:
    loaded = databases(one_place, 3)
    with recorders(loaded, records=5, pause=0.02):
        wait_until(lambda: max(map(counted, loaded)) >= 500, deadline=60, what="one database to be folded often")
        folded = [counted(database) for database in loaded]
        # All record at one pace. Without turns one of them keeps the place for as long as it records.
        assert 4 * min(folded) >= max(folded), folded


def test_the_board_is_as_large_as_the_setting_and_only_a_start_changes_it(cluster: Cluster) -> None:
    [(setting, context)] = cluster.query(f"SELECT setting, context FROM pg_settings WHERE name = '{MAX_DATABASES}'")
    assert (setting, context) == ("1024", "postmaster")
    size = "SELECT sum(size) FROM pg_shmem_allocations WHERE name LIKE 'litellm_spend%'"
    assert 1024 * 400 < cluster.query(size)[0][0] < 1024 * 600


@pytest.mark.stress
def test_what_a_database_without_a_place_had_to_do_is_done_all_the_same(one_place: Cluster) -> None:
    held, other = databases(one_place, 2)
    records = spend_records(2)
    hold(held, records)
    other.record(spend_records(3, "other"))
    other.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 3)
    held.execute(ADD_LOG_KEY)
    # Nobody asks for it: the launcher visits all databases.
    held.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 2, deadline=90)
    assert_counted(held, records)


DATABASES, PROCESSES, SECONDS, RECORDERS = 200, 20, 30, 4
# The clock notes when each record was counted: at the end of the statement that writes its row, a moment before the
# commit.
CLOCK = """
CREATE TABLE counted_at (request_id text, at timestamptz);
CREATE FUNCTION note_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.counted_at VALUES (NEW.request_id, clock_timestamp()); RETURN NULL; END $$;
CREATE TRIGGER clock AFTER INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION note_time();
"""


@pytest.mark.stress
def test_many_databases_share_few_processes_and_none_is_late(tell: Tell) -> None:
    """Each of 200 databases records once a second, and 20 processes take turns."""
    settings = {"max_connections": str(DATABASES + 50), "max_worker_processes": str(PROCESSES + 1)}
    settings |= {"max_logical_replication_workers": "0", "max_parallel_workers": "0"}
    with Cluster(settings) as cluster:
        made = [own_schema_database(cluster) for _ in range(DATABASES)]
        for database in made:
            database.execute(CLOCK)
        acknowledged: dict[str, tuple[Database, float]] = {}
        end = time.time() + SECONDS

        def record(databases: list[Database]) -> None:
            while (begun := time.time()) < end:
                for database in databases:
                    record = spend_record()
                    database.record(record)
                    acknowledged[record["request_id"]] = (database, time.time())
                time.sleep(max(0.0, begun + 1 - time.time()))

        with ThreadPoolExecutor(RECORDERS) as pool:
            list(pool.map(record, [made[first::RECORDERS] for first in range(RECORDERS)]))
        recorded_by = time.time()
        for database in made:
            database.wait_folded("120 s")
        drained = time.time() - recorded_by
        times = {
            request_id: at
            for database in made
            for request_id, at in database.query("SELECT request_id, extract(epoch FROM at)::float8 FROM counted_at")
        }
        late = sorted(times[request_id] - at for request_id, (_, at) in acknowledged.items())
        assert len(times) == len(late), "each record is counted once"
        tell(
            f"{DATABASES} databases, {PROCESSES} processes",
            f"{len(late)} records in {SECONDS} s; until counted: median {statistics.median(late):.2f} s, "
            f"p99 {late[int(len(late) * 0.99)]:.2f} s, longest {late[-1]:.2f} s; the rest took {drained:.2f} s",
        )
        assert cluster.crashes() == []
