"""The verdicts are complete, and the tables that are not compared are named."""

from __future__ import annotations

from .case import NAMES, golden
from .expectation import NOT_WRITTEN
from .state import ENTITIES, ROWS
from .verdicts import VERDICTS


def test_every_golden_case_has_a_verdict() -> None:
    assert list(VERDICTS) == NAMES


def test_every_table_of_the_goldens_is_compared_or_named_as_not_written() -> None:
    changed = set().union(*(golden(name).changed_tables for name in NAMES))
    assert changed - set(ENTITIES) - set(ROWS) == NOT_WRITTEN
