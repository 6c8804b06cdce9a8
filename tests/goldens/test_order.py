"""The requests of many cases in random order and random batches, some of them twice, lead to the sum of the cases'
results."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from .case import NAMES, golden
from .combined import MIXES, combined
from .expectation import without_defaults
from .runner import WITH_PROMPTS, Way, assert_same, recorder
from .shapes import Record, Shape, Source
from .verdicts import REJECTED

# One case alone has few possible orders.
RUNS = [(mix, seed) for mix, names in MIXES.items() for seed in range(3 if len(names) > 1 else 1)]
LONGEST_BATCH = 12
# (name of the case, record)
Sent = tuple[str, Record]


@pytest.mark.parametrize(("mix", "seed"), RUNS)
@pytest.mark.parametrize("shape", Shape, ids=lambda shape: shape.name)
def test_the_result_is_the_same_in_any_order_and_any_batches(
    way: Way, source: Source, shape: Shape, mix: str, seed: int
) -> None:
    chance, site = random.Random(seed), way.site
    cases = [golden(name) for name in MIXES[mix]]
    seeds = {case.extra_seed: case for case in cases}
    begun = {extra_seed: site.seed(case) for extra_seed, case in seeds.items()}
    before = site.seed(*cases)
    duplicates = site.database.status()["duplicates"]
    stream = shuffled(chance, [(case.name, record) for case in cases for record in source(case, shape)])
    staged = 0
    with recorder(site.database, with_prompts=mix in WITH_PROMPTS) as record:
        for batch in batches(chance, stream):
            staged += record([each for _, each in batch])
            if chance.random() < 0.5:
                way.fold(site.database, staged)
                staged = 0
    way.fold(site.database, staged)
    alone = [(case, begun[case.extra_seed]) for case in cases]
    expected = combined(alone, before, shape, [call_id(sent) for _, sent in stream])
    assert_same(expected, without_defaults(site.read()), f"seed {seed}: the sum of all cases")
    rejected = [name for name, _ in stream if name in REJECTED]
    assert site.database.value("SELECT count(*) FROM litellm_spend.rejected") == len(rejected)
    counted = {call_id(sent) for name, sent in stream if name not in REJECTED}
    assert site.database.status()["duplicates"] - duplicates == len(stream) - len(rejected) - len(counted)


def test_every_case_is_in_a_mix() -> None:
    assert {name for names in MIXES.values() for name in names} == set(NAMES)


def shuffled(chance: random.Random, sent: list[Sent]) -> list[Sent]:
    """All records in random order, a tenth of them twice."""
    stream = [*sent, *chance.sample(sent, max(1, len(sent) // 10))]
    chance.shuffle(stream)
    return stream


def batches(chance: random.Random, stream: list[Sent]) -> Iterator[list[Sent]]:
    """The stream in arrays of random lengths."""
    at = 0
    while at < len(stream):
        length = chance.randint(1, LONGEST_BATCH)
        yield stream[at : at + length]
        at += length


def call_id(record: Record) -> str:
    return record.get("litellm_call_id") or record["metadata"]["litellm_call_id"]
