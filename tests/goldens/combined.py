"""What cases that begin alike must lead to together, in whatever order their requests are counted: the sum of
what each leads to alone."""

from __future__ import annotations

import copy
from typing import Any

from .case import NAMES, Golden, golden
from .expected import LOGS, stored_id
from .runner import WITH_PROMPTS, expectation
from .shapes import Shape
from .state import DAILY, ENTITIES, Row, State, add_row

# One of two requests with one id keeps it, the first; a cost of 1e15 would hide the others under the tolerance.
_APART = {"duplicate_request_id", "huge_cost"} | WITH_PROMPTS
TOGETHER = [name for name in NAMES if name not in _APART and not golden(name).extra_seed]


def combined(cases: list[Golden], shape: Shape, before: State) -> State:
    """The sum of the cases' expectations. What the first or last writer decides may be any writer's."""
    total = copy.deepcopy(before)
    for case in cases:
        for table, rows in expectation(case, shape, before).items():
            for key, row in rows.items():
                if table in ENTITIES:
                    total[table][key] = _charged(total[table].get(key), before[table].get(key), row)
                else:
                    add_row(total, table, row, key)
    for table in DAILY:
        for row in total[table].values():
            row |= _of_any_writer(row, list(total[LOGS].values()))
    return total


def _charged(total: Row | None, before: Row | None, after: Row) -> Row:
    """The total with what one case adds to the entity's row."""
    if total is None:
        return after

    def add(name: str) -> Any:
        if isinstance(after[name], bool) or after[name] is None:
            return total[name] or after[name]
        return total[name] + after[name] - (before[name] if before else 0)

    return {name: add(name) for name in after}


def _of_any_writer(row: Row, logs: list[Row]) -> Row:
    """The columns that one of several requests decides: the sets of what they may hold."""
    decided = {"model_group": frozenset(log["model_group"] for log in logs if log["model"] == row["model"])}
    if "request_id" in row:
        decided["request_id"] = frozenset(log["request_id"] for log in logs if row["tag"] in _tags(log))
    return decided


def _tags(log: Row) -> list[str]:
    return [stored_id(tag) for tag in log["request_tags"] if isinstance(tag, str)]
