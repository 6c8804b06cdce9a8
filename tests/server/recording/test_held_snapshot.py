"""A session holds an old snapshot, so nothing can be vacuumed. Staging leaves nothing to vacuum (invariant 6)."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from conftest import Tell, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import spend_record, totals
from harness.remembering import WORKERS
from harness.waiting import wait_until

RECORDERS, BATCH, PAUSE_SECONDS = 3, 20, 0.1
USERS = [f"user-{number}" for number in range(8)]
PROBE = 500
# Segments rotate quickly, so a few seconds see many truncations. A consumed one stays long enough to be looked at.
SETTINGS = {
    "litellm_spend.segment_size": "64kB",
    "litellm_spend.truncate_delay": "1 s",
    "litellm_spend.linger": "200 ms",
}
SEGMENTS = "ARRAY['litellm_spend.staging_0', 'litellm_spend.staging_1', 'litellm_spend.staging_2']::regclass[]"
STATE = "ARRAY['litellm_spend.fold_cursor', 'litellm_spend.rotation']::regclass[]"
# The segments with their indexes and TOAST tables.
STAGING_BYTES = f"SELECT sum(pg_total_relation_size(s))::bigint FROM unnest({SEGMENTS}) AS s"
FILES = f"SELECT pg_relation_filenode(s) FROM unnest({SEGMENTS}) AS s"
DEAD = f"""
    SELECT sum((public.pgstattuple(c.oid)).dead_tuple_count)::bigint
      FROM pg_class c WHERE c.oid = ANY ({SEGMENTS})
        OR c.oid IN (SELECT s.reltoastrelid FROM pg_class s WHERE s.oid = ANY ({SEGMENTS}))"""
# How many buffers of heaps and indexes all sessions have asked for.
BUFFERS = """
    SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint
      FROM pg_statio_all_tables WHERE relid = ANY ({})"""
HELD = "SELECT backend_xmin::text FROM pg_stat_activity WHERE pid = %s"
TARGETS = ("LiteLLM_UserTable", "LiteLLM_DailyUserSpend")


@pytest.fixture
def database() -> Iterator[Database]:
    with Cluster(SETTINGS) as cluster:
        database = own_schema_database(cluster)
        database.execute("CREATE EXTENSION pgstattuple SCHEMA public")
        yield database


def test_staging_does_not_bloat_while_a_snapshot_is_held(database: Database, tell: Tell) -> None:
    run(database, tell, seconds=0)


@pytest.mark.stress
@pytest.mark.timeout(1_800)
def test_staging_does_not_bloat_while_a_snapshot_is_held_for_ten_minutes(database: Database, tell: Tell) -> None:
    run(database, tell, seconds=600)


def run(database: Database, tell: Tell, *, seconds: float) -> None:
    """Record under a held snapshot for `seconds` at least, and until five segments have been truncated."""
    with held_snapshot(database):
        staging = Staging(database)
        at_start = probe(database)
        recorded, begun = PROBE, time.monotonic()
        with recording(database) as recorders:
            staging.watch(lambda: staging.truncations >= 5 and time.monotonic() - begun >= seconds, seconds + 60)
            with database.held_fold():
                staging.watch(lambda: staging.bytes >= 40 * staging.empty)
            recorded += recorders.stop()
        database.wait_folded()
        database.wait_for(STAGING_BYTES, staging.empty)
        staging.look()
        at_end = probe(database)
        recorded += PROBE
        growth = [Growth.measure(database, table) for table in TARGETS]
    tell(
        "a snapshot held",
        f"{recorded} records in {time.monotonic() - begun:.0f} s, {staging.truncations} truncations",
        f"staging: {staging.empty} bytes at the start, {staging.peak} at its peak, {staging.bytes} after; "
        f"dead tuples at most: {staging.dead}",
        f"buffers of staging per record: {at_start.staging:.2f} at the start, {at_end.staging:.2f} at the end; "
        f"of the cursor and the rotation per record: {at_start.state:.2f} and {at_end.state:.2f}",
        *growth,
    )
    assert staging.dead == 0
    assert at_end.staging <= 1.5 * at_start.staging
    spend = 0.25 * recorded
    assert {total in ((recorded, spend), (None, spend)) for total in totals(database).values()} == {True}
    for grown in growth:
        assert grown.bytes <= 1.25 * grown.plain_bytes


@contextmanager
def held_snapshot(database: Database) -> Iterator[None]:
    """Another session sees the database as it is now, to the end."""
    with database.connect() as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT 1")
        pid = session.info.backend_pid
        held = database.value(HELD, pid)
        assert held is not None
        yield
        assert database.value(HELD, pid) == held


class Staging:
    """Watches the segments while others write and fold."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._files = database.query(FILES)
        self.empty = self.peak = self.bytes = database.value(STAGING_BYTES)
        self.truncations = self.dead = 0

    def watch(self, predicate, deadline: float = 60) -> None:
        """Look until the condition is true."""
        wait_until(
            lambda: self.look() or predicate(),
            deadline=deadline,
            what="the segments to turn",
            show=lambda _: vars(self),
        )

    def look(self) -> None:
        files = self._database.query(FILES)
        self.truncations += sum(before != now for before, now in zip(self._files, files, strict=True))
        self._files = files
        self.bytes = self._database.value(STAGING_BYTES)
        self.peak = max(self.peak, self.bytes)
        self.dead = max(self.dead, self._database.value(DEAD))


class Recorders:
    """Sessions that record a batch, pause, and record the next."""

    def __init__(self, database: Database, pool: ThreadPoolExecutor) -> None:
        self._database = database
        self._stop = threading.Event()
        self._jobs = [pool.submit(self._record) for _ in range(RECORDERS)]

    def _record(self) -> int:
        session = Database(self._database.cluster, self._database.name)
        users = itertools.cycle(USERS)
        recorded = 0
        while not self._stop.wait(PAUSE_SECONDS):
            recorded += session.record([spend_record(user=next(users)) for _ in range(BATCH)])
        session.close()
        return recorded

    def stop(self) -> int:
        """How many records they have recorded."""
        self._stop.set()
        return sum(job.result() for job in self._jobs)


@contextmanager
def recording(database: Database) -> Iterator[Recorders]:
    with ThreadPoolExecutor(RECORDERS) as pool:
        recorders = Recorders(database, pool)
        try:
            yield recorders
        finally:
            recorders.stop()


@dataclass
class Cost:
    """Buffers asked for per record."""

    staging: float
    state: float


def probe(database: Database) -> Cost:
    """The cost of staging and folding one transaction of a known size."""
    before = buffers(database)
    database.record([spend_record(user=USERS[number % len(USERS)]) for number in range(PROBE)])
    database.wait_folded()
    after = buffers(database)
    return Cost(*((now - then) / PROBE for then, now in zip(before, after, strict=True)))


def buffers(database: Database) -> list[int]:
    """The buffers of the segments and of the fold's state. A session reports its last figures when it ends."""
    database.close()
    database.wait_for(f"SELECT count(*) {WORKERS}", 0)
    return [database.value(BUFFERS.format(tables)) for tables in (SEGMENTS, STATE)]


@dataclass
class Growth:
    """The size of a target, beside a copy whose rows plain statements have updated as often."""

    table: str
    updates: int
    bytes: int
    plain_bytes: int

    @classmethod
    def measure(cls, database: Database, table: str) -> Growth:
        # No version of a row that came after the snapshot can be removed.
        updates = database.value("SELECT dead_tuple_count FROM public.pgstattuple(%s)", f'public."{table}"')
        rows = database.value(f'SELECT count(*) FROM "{table}"')
        database.execute(f'CREATE TABLE plain (LIKE "{table}" INCLUDING ALL) WITH (autovacuum_enabled = off)')
        database.execute(f'INSERT INTO plain SELECT * FROM "{table}"')
        database.execute(f"""
            DO $$ BEGIN
                FOR round IN 1 .. {updates // rows} LOOP
                    UPDATE plain SET spend = spend + 0.25;
                    COMMIT;
                END LOOP;
            END $$""")
        sizes = [database.value("SELECT pg_relation_size(%s)", name) for name in (f'public."{table}"', "plain")]
        database.execute("DROP TABLE plain")
        return cls(table, updates, *sizes)

    def __str__(self) -> str:
        return f"{self.table}: {self.updates} updates made it {self.bytes} bytes, plain ones {self.plain_bytes}"
