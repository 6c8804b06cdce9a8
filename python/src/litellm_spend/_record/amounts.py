"""Cost and tokens of records. A call's failed attempts and its success must not both charge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Record = dict[str, Any]

_AMOUNTS: Final = ("response_cost", "prompt_tokens", "completion_tokens", "total_tokens")


class Amounts:
    """The sums of the cost and tokens of several records."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    def add(self, record: Record) -> None:
        """Adds the amounts of a record, if it has a cost."""
        if has_cost(record):
            for name in _AMOUNTS:
                self._sums[name] = self._sums.get(name, 0) + (record.get(name) or 0)

    def subtract_from(self, record: Record) -> None:
        """Subtracts the sums from a record that includes them. No amount falls below 0. The sums are then empty."""
        for name, amount in self._sums.items():
            record[name] = max(0, (record.get(name) or 0) - amount)
        self._sums = {}


def has_cost(record: Mapping[str, Any]) -> bool:
    """Whether a failure has a cost. LiteLLM's proxy charges no negative cost for a failure."""
    cost = record.get("response_cost")
    return isinstance(cost, (int, float)) and cost > 0


def remove_cost(record: Record) -> Record:
    """Removes cost and tokens from a record, because another record has them."""
    if has_cost(record):
        record.update(dict.fromkeys(_AMOUNTS, 0))
        record.pop("cost_breakdown", None)
        (record.get("metadata") or {}).pop("usage_object", None)
    return record
