"""The state that a case must lead to, and the parts of which rules are made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.litellm_tables import DAILY, LOGS

from .case import Golden, Request
from .shapes import Shape
from .state import Row, State, add_row, key_of

# The length of the longest id in bytes.
LONGEST_ID = 1024


@dataclass
class Expected:
    """The state that a case must lead to. Rules change it step by step from LiteLLM's result to ours."""

    case: Golden
    shape: Shape
    before: State
    state: State

    @property
    def logs(self) -> list[Row]:
        return list(self.state[LOGS].values())

    def put(self, table: str, row: Row) -> None:
        self.state[table][key_of(table, row)] = row

    def charge(self, table: str, entity: str, spend: float) -> None:
        row = self.state[table].setdefault((entity,), {"spend": 0.0})
        row["spend"] += spend

    def rewrite(self, table: str, change: Callable[[Row], Row]) -> None:
        """Change rows. Rows that then share a key become one row with the sums of both."""
        rows = [change(dict(row)) for row in self.state[table].values()]
        self.state[table] = {}
        for row in rows:
            add_row(self.state, table, row, key_of(table, row))


@dataclass(frozen=True)
class Rule:
    """A reason, and the change of the state that follows from it."""

    name: str
    reason: str
    apply: Callable[[Expected], None]
    shapes: frozenset[Shape] = field(default_factory=frozenset)


def rule(reason: str, *shapes: Shape) -> Callable[[Callable[[Expected], None]], Rule]:
    """Turn a function into a rule. Without `shapes` the rule holds for all shapes."""
    return lambda apply: Rule(apply.__name__, reason, apply, frozenset(shapes or Shape))


def add_daily_row(expected: Expected, table: str, entity: str, **columns: Any) -> None:
    """A daily row of the case's one request, copied from the team's row, which every request has."""
    [team] = expected.state["LiteLLM_DailyTeamSpend"].values()
    own = {name: value for name, value in team.items() if name not in ("team_id", "ptu_flat_cost")}
    expected.put(table, {**own, DAILY[table]: entity, **columns})


def add_tag_rows(expected: Expected, request: Request) -> None:
    """A daily row for each distinct string tag."""
    for tag in distinct_tags(request.payload["request_tags"]):
        add_daily_row(expected, "LiteLLM_DailyTagSpend", tag, request_id=request.payload["id"])


def distinct_tags(tags: list[Any]) -> list[str]:
    return list(dict.fromkeys(tag for tag in tags if isinstance(tag, str)))


def stored_id(text: str) -> str:
    """The id, shortened to at most LONGEST_ID bytes."""
    if len(text.encode()) <= LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.encode()[: LONGEST_ID - len(digest) - 1].decode(errors="ignore") + "#" + digest


def sent_key(expected: Expected) -> str:
    """The one key of a case's one request, as it must be stored."""
    [request] = expected.case.requests
    if expected.shape is Shape.SPEND_LOGS:
        return request.spend_logs[0]["api_key"]
    return request.payload["metadata"]["user_api_key_hash"]
