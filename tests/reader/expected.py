"""The answers that LiteLLM's reader must give, worked out from the calls: sums by day and by each group of a page."""

from __future__ import annotations

from collections import defaultdict

from mixed.call import Call
from mixed.expected import Total, daily_entities, daily_numbers, identity_of

Metrics = dict[str, Total]
Breakdown = dict[tuple[str, ...], Metrics]
"""(group, its name) or (group, its name, a key) -> sums"""


def activity(calls: list[Call], table: str, entity: str | None = None) -> dict[str, Breakdown]:
    """What the reader shows of a daily table for each day, or of one entity alone if it is given. The day's own sums
    are under `("day",)`."""
    days: dict[str, Breakdown] = defaultdict(lambda: defaultdict(lambda: defaultdict(Total)))
    for call in calls:
        for row_table, row_entity in daily_entities(call, identity_of(call)):
            if row_table == table and entity in (None, row_entity):
                for group in _groups(call, row_entity):
                    _add(days[call.date][group], call)
    return days


def _groups(call: Call, entity: str) -> list[tuple[str, ...]]:
    key = call.key_hash or "unattributed"
    named = {
        "models": call.model or "unknown-model",
        "model_groups": call.model_group or call.model or "unknown-model-group",
        "providers": call.provider or "unknown",
        "mcp_servers": call.mcp_tool,
        "endpoints": call.endpoint,
        "entities": entity or "Unassigned",
    }
    present = [(group, name) for group, name in named.items() if name]
    return [("day",), ("api_keys", key), *present, *[(*each, key) for each in present]]


def _add(metrics: Metrics, call: Call) -> None:
    for name, number in daily_numbers(call).items():
        metrics[name].add(number)
    metrics["total_tokens"].add(call.prompt_tokens + call.completion_tokens)
