"""No death of any process loses an acknowledged record or counts one twice, in any target (invariant 1)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos.killer import ANYWHERE, POINTS, SETTINGS, Killer
from chaos.verdict import compare
from chaos.writer import Writer
from conftest import Tell, own_schema_database
from harness.cluster import Cluster
from harness.waiting import wait_until

WRITERS = 4


@pytest.fixture
def chaos_cluster() -> Iterator[Cluster]:
    with Cluster(SETTINGS) as cluster:
        yield cluster


def test_a_few_deaths_at_each_point_lose_and_double_nothing(chaos_cluster: Cluster, tell: Tell) -> None:
    run_chaos(chaos_cluster, tell, times_each=1, records=3_000, pause=0.02)


@pytest.mark.stress
@pytest.mark.timeout(3_600)
def test_many_deaths_at_each_point_lose_and_double_nothing(chaos_cluster: Cluster, tell: Tell) -> None:
    run_chaos(chaos_cluster, tell, times_each=3, records=100_000, pause=0)


def run_chaos(cluster: Cluster, tell: Tell, *, times_each: int, records: int, pause: float) -> None:
    """Kill each kind of process, and at each point, `times_each` times, while at least `records` are acknowledged."""
    seed, begun = random.randrange(2**32), time.monotonic()
    chance = random.Random(seed)
    database = own_schema_database(cluster)
    plan = [*ANYWHERE, *POINTS] * times_each
    chance.shuffle(plan)
    writers = [Writer(f"w{number}", database, chance.randrange(2**32), pause) for number in range(WRITERS)]
    killer = Killer(cluster, chance)
    with ThreadPoolExecutor(WRITERS) as pool:
        jobs = [writer.start(pool) for writer in writers]

        def acknowledged() -> int:
            for job in jobs:
                if job.done():
                    job.result()
            return sum(writer.acknowledged for writer in writers)

        def wait_for_records(count: int) -> None:
            end = acknowledged() + count
            wait_until(lambda: acknowledged() >= end, deadline=600, what=f"{end} acknowledged records")

        try:
            for kind in plan:
                wait_for_records(chance.randint(1, 2 * records // len(plan)))
                killer.kill(kind)
            wait_for_records(max(1, records - acknowledged()))
        finally:
            for writer in writers:
                writer.stop()
        for job in jobs:
            job.result()
    for writer in writers:
        writer.end_all_prepared()
    database.wait_folded("600 s")
    verdict = compare(database, [batch for writer in writers for batch in writer.batches])
    tell(
        "chaos",
        f"seed {seed}: {len(plan)} rounds in {time.monotonic() - begun:.0f} s",
        f"kills: {dict(killer.kills)}; at points: {dict(killer.points)}",
        f"records acknowledged: {verdict.acknowledged}, of them sent again: {verdict.resent}; "
        f"unknown: {verdict.unknown}, of them counted: {verdict.unknown_counted}; "
        f"lost: {verdict.lost}; double: {verdict.doubled}",
    )
    assert verdict.wrong == [], f"seed {seed}: " + "\n".join(verdict.wrong[:10])
    assert verdict.acknowledged >= records
    assert killer.points == dict.fromkeys(POINTS, times_each)
