"""Other sessions at work on staging make no fold fail, and keep back no more space than they must."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from psycopg.types.json import Jsonb

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, counted, spend_record, spend_records
from harness.waiting import wait_until

SETTINGS = {"litellm_spend.segment_size": "64 kB", "litellm_spend.truncate_delay": "0", "autovacuum": "off"}
FILES = "SELECT array_agg(pg_relation_filenode(format('litellm_spend.staging_%s', n)::regclass) ORDER BY n) \
FROM generate_series(0, 2) AS n"
BYTES = "SELECT sum(pg_relation_size(format('litellm_spend.staging_%s', n)::regclass))::int \
FROM generate_series(0, 2) AS n"
TOAST = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'litellm_spend.staging_0'::regclass"
# A record that no page holds and that compression does not shorten.
LARGE = {"metadata": {"spend_logs_metadata": [hashlib.sha512(str(n).encode()).hexdigest() for n in range(300)]}}


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with small segments, truncated as soon as they are consumed."""
    preload = getattr(request, "param", "litellm_spend")
    with Cluster({**SETTINGS, "shared_preload_libraries": preload}) as cluster:
        database = new_database(cluster)
        yield database
        database.close()


without_worker = pytest.mark.parametrize("quick", [""], indirect=True, ids=["fold()"])


def test_a_pinned_segment_keeps_the_other_two_from_no_rotation(quick: Database) -> None:
    pinned = spend_record(request_id="pinned")
    recorded = [pinned]
    with quick.connect(autocommit=False) as pin:
        pin.execute("SELECT litellm_record_spend(%s)", (Jsonb(pinned),))
        first = quick.value(FILES)
        seen: list[set[int]] = [set(), set(), set()]

        def both_were_truncated_twice() -> bool:
            batch = spend_records(100, f"part-{len(recorded)}")
            recorded.extend(batch)
            quick.record(batch)
            quick.wait_folded()
            for files, file in zip(seen, quick.value(FILES), strict=True):
                files.add(file)
            return len(seen[1]) >= 3 and len(seen[2]) >= 3

        wait_until(both_were_truncated_twice, deadline=60, what="two truncations of each", show=lambda _: repr(seen))
        assert seen[0] == {first[0]}, "the pinned segment was truncated"
        pin.commit()
    quick.wait_folded()
    assert_counted(quick, recorded)


@without_worker
def test_a_reader_of_a_segments_toast_table_takes_no_fold_down(quick: Database) -> None:
    quick.record(spend_record(**LARGE))
    with quick.connect(autocommit=False) as reader:
        assert reader.execute(f"SELECT count(*) > 0 FROM {quick.value(TOAST)}").fetchone() == (True,)
        # A wait of any length would log a warning.
        notices: list[str] = []
        with quick.connect() as session:
            session.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
            files = quick.value(FILES)
            for folded in (1, 2, 3):
                session.execute("SELECT litellm_spend.fold()")
                assert counted(quick) == folded
                quick.record(spend_record())
            assert notices == []
        assert quick.value(FILES)[0] == files[0]
    wait_until(lambda: quick.fold() >= 0 and quick.value(FILES)[0] != files[0], what="the truncation")
    assert counted(quick) == 4


REFUSE = "CREATE TRIGGER refuse BEFORE TRUNCATE ON litellm_spend.staging_{} EXECUTE FUNCTION refuse()"
ALLOW = "DROP TRIGGER refuse ON litellm_spend.staging_{}"


def refuse_truncation(quick: Database) -> None:
    """Stands for any cause that makes TRUNCATE fail: a full disk, a row of the catalogue that somebody updates."""
    quick.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
    for segment in range(3):
        quick.execute(REFUSE.format(segment))


def test_a_truncation_that_fails_holds_no_fold_of_the_worker(quick: Database) -> None:
    refuse_truncation(quick)
    recorded = 0

    def a_truncation_has_failed() -> bool:
        nonlocal recorded
        recorded += quick.record(spend_record())
        quick.wait_folded()
        return "gives no staging space back" in quick.cluster.log()

    wait_until(a_truncation_has_failed, what="the warning")
    assert counted(quick) == recorded
    assert quick.status()["last_error"] is None
    assert "holds the fold" not in quick.cluster.log()


@without_worker
def test_a_truncation_that_fails_takes_nothing_of_a_callers_fold_back(quick: Database) -> None:
    refuse_truncation(quick)
    quick.record(spend_record())
    quick.fold()
    notices: list[str] = []
    with quick.connect() as session:
        session.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        quick.record(spend_record())
        assert session.execute("SELECT litellm_spend.fold()").fetchone() == (1,)
    assert "gives no staging space back" in notices[0]
    assert counted(quick) == 2
    # Recorders move on nevertheless.
    assert quick.value("SELECT segment FROM litellm_spend.rotation") == 2
    for segment in range(3):
        quick.execute(ALLOW.format(segment))
    quick.fold()
    quick.fold()
    assert quick.value(BYTES) == 0


@without_worker
def test_a_rotation_that_fails_takes_nothing_of_a_callers_fold_back(quick: Database) -> None:
    quick.record(spend_record())
    quick.fold()
    quick.record(spend_record())
    with quick.connect(autocommit=False) as other:
        other.execute("SELECT FROM litellm_spend.rotation FOR UPDATE")
        with quick.connect() as session:
            notices: list[str] = []
            session.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
            assert session.execute("SELECT litellm_spend.fold()").fetchone() == (1,)
        assert "gives no staging space back" in notices[0]
    assert counted(quick) == 2


CONSUMED = """
    INSERT INTO litellm_spend.staging_0 (origin, seq, payload)
    SELECT c.origin, n, s.payload FROM litellm_spend.fold_cursor c, generate_series(1, 20000) n,
        (SELECT payload FROM litellm_spend.staging LIMIT 1) s"""


def buffers(database: Database, statement: str) -> int:
    """How many pages the statement reads."""
    [[plan]] = database.query(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    return plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]


@without_worker
@pytest.mark.parametrize("statement", ["SELECT * FROM litellm_spend.status", "SELECT litellm_spend.fold()"])
def test_what_is_consumed_but_pinned_costs_no_poll_and_no_fold(quick: Database, statement: str) -> None:
    assert_costs_the_same_beside_consumed_rows(quick, statement, quick.fold)


def pinned_segment(database: Database, pid: int) -> int:
    locked = "SELECT l.relation::regclass::text FROM pg_locks l WHERE l.mode = 'RowExclusiveLock' AND l.pid = %s \
AND l.relation::regclass::text ~ '^litellm_spend.staging_.$'"
    return int(database.value(locked, pid)[-1])


def test_flush_reads_nothing_that_is_consumed_but_pinned(quick: Database) -> None:
    assert_costs_the_same_beside_consumed_rows(quick, "SELECT litellm_spend.flush()", quick.wait_folded)


def assert_costs_the_same_beside_consumed_rows(database: Database, statement: str, fold: Callable[[], object]) -> None:
    """The statement reads as few pages as before when consumed rows stand in a segment that a transaction pins."""
    database.record(spend_record())
    fold()
    with database.connect(autocommit=False) as pin:
        pin.execute("SELECT litellm_record_spend(%s)", (Jsonb(spend_record()),))
        database.record(spend_record())
        fold()
        before = max(buffers(database, statement) for _ in range(3))
        database.execute(CONSUMED.replace("staging_0", f"staging_{pinned_segment(database, pin.info.backend_pid)}"))
        database.execute("UPDATE litellm_spend.fold_cursor SET folded_through = pg_current_snapshot()")
        buffers(database, statement)
        # The rows take a thousand pages. A deeper index costs a few.
        assert min(buffers(database, statement) for _ in range(3)) < before + 100
