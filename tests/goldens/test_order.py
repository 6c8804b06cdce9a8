"""The requests of many cases in random order and random batches, some of them twice, lead to the sum of what
the cases lead to alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from .case import golden
from .combined import TOGETHER, combined
from .expectation import without_defaults
from .runner import RECORD, Fold, Way, assert_same
from .shapes import LITELLMS_OWN, Record, Shape, records
from .site import Site

SEEDS = range(3)
LONGEST_BATCH = 12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", LITELLMS_OWN, ids=lambda shape: shape.name)
def test_the_result_is_the_same_in_any_order_and_any_batches(way: Way, shape: Shape, seed: int) -> None:
    check_shuffled(way.site, shape, way.fold, seed)


def check_shuffled(site: Site, shape: Shape, fold: Fold, seed: int) -> None:
    chance = random.Random(seed)
    cases = [golden(name) for name in TOGETHER]
    before = site.seed(cases[0])
    staged = 0
    for batch in batches(chance, [record for case in cases for record in records(case, shape)]):
        staged += site.database.value(RECORD, json.dumps(batch))
        if chance.random() < 0.5:
            fold(site.database, staged)
            staged = 0
    fold(site.database, staged)
    assert_same(combined(cases, shape, before), without_defaults(site.read()), f"seed {seed}: the sum of all cases")


def batches(chance: random.Random, sent: list[Record]) -> Iterator[list[Record]]:
    """All records in random order, a tenth of them twice, in arrays of random lengths."""
    stream = [*sent, *chance.sample(sent, len(sent) // 10)]
    chance.shuffle(stream)
    while stream:
        length = chance.randint(1, LONGEST_BATCH)
        yield stream[:length]
        del stream[:length]
