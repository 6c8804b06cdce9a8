"""What cases must lead to together, in whatever order their requests are counted: the sum of the result of each case
alone."""

from __future__ import annotations

import copy
from typing import Any

from harness.litellm_tables import DAILY, LOGS

from .case import NAMES, Golden, golden
from .expected import stored_id
from .runner import WITH_PROMPTS, expectation
from .shapes import Shape
from .state import ENTITIES, Row, State, add_row

# In a sum with 1e15 all others would hide under the tolerance. If one case stores prompts, all cases store them.
_ALONE = ["huge_cost", *WITH_PROMPTS]
# In a sum with 7500 or a seed's 5 the cost of 1e-12 would hide.
_GREAT = ["int4_overflow_tokens", *[name for name in NAMES if golden(name).extra_seed]]
MIXES = {
    "small": [name for name in NAMES if name not in _ALONE and name not in _GREAT],
    # The first two cases charge rows to which the seeds of the others gave a spend.
    "great": ["basic_full_identity", "team_member_on_roster_created", *_GREAT],
    **{name: [name] for name in _ALONE},
}
"""Cases whose requests are sent as one stream."""


def combined(cases: list[tuple[Golden, State]], before: State, shape: Shape, calls: list[str]) -> State:
    """The sum of the cases' expectations, each with the state that it begins with.

    `before` is where all begin, and `calls` are the call ids in the order in which they are sent. A value that the
    first or last writer decides may be the value of any writer."""
    total = copy.deepcopy(before)
    for case, own in cases:
        outcome = expectation(case, shape, own)
        _let_the_first_keep_its_id(outcome, calls)
        for table, rows in outcome.items():
            for key, row in rows.items():
                if table in ENTITIES:
                    total[table][key] = _charged(total[table].get(key), own[table].get(key), row)
                elif table in DAILY:
                    add_row(total, table, row | _of_any_writer(row, list(outcome[LOGS].values())), key)
                else:
                    add_row(total, table, row, key)
    return total


def _let_the_first_keep_its_id(state: State, calls: list[str]) -> None:
    """Only the order decides which of two requests with one id is logged as id#litellm_call_id."""
    logs = state[LOGS]
    for other in [name for (name,) in logs if "#" in name]:
        shared = other.partition("#")[0]
        rows = [logs.pop((name,)) for name in (shared, other)]
        first, second = sorted(rows, key=lambda row: calls.index(row["litellm_call_id"]))
        for name, row in ((shared, first), (f"{shared}#{second['litellm_call_id']}", second)):
            logs[name,] = {**row, "request_id": name}


def _charged(total: Row | None, before: Row | None, after: Row) -> Row:
    """The total with the amount that one case adds to the entity's row."""
    if total is None:
        return after

    def add(name: str) -> Any:
        if isinstance(after[name], bool) or after[name] is None:
            return total[name] or after[name]
        return total[name] + after[name] - (before[name] if before else 0)

    return {name: add(name) for name in after}


def _of_any_writer(row: Row, logs: list[Row]) -> Row:
    """The columns that one of several requests decides, each with the set of values that it may hold. `logs` are the
    log rows of the case that has the row."""
    writers = [log for log in logs if log["model"] == row["model"] and f"{log['startTime']:%F}" == row["date"]]
    if "request_id" not in row:
        return {"model_group": frozenset(log["model_group"] for log in writers)}
    writers = [log for log in writers if row["tag"] in _tags(log)]
    return {name: frozenset(log[name] for log in writers) for name in ("model_group", "request_id")}


def _tags(log: Row) -> list[str]:
    return [stored_id(tag) for tag in log["request_tags"] if isinstance(tag, str)]
