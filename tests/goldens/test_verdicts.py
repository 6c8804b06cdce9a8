"""The verdicts are complete, and so is the list of tables that are compared."""

from __future__ import annotations

from .case import NAMES, golden
from .state import ENTITIES, ROWS
from .verdicts import VERDICTS


def test_every_golden_case_has_a_verdict() -> None:
    assert list(VERDICTS) == NAMES


def test_every_table_of_the_goldens_is_compared() -> None:
    changed = set().union(*(golden(name).changed_tables for name in NAMES))
    assert changed <= set(ENTITIES) | set(ROWS)
