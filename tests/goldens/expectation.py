"""What LiteLLM left in its tables, as our database must show it: the goldens' JSON turned into rows, without the values
that are never stored."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from typing import Any

from .case import Golden
from .state import ENTITIES, ROWS, Row, State, key_of

# Only these members of an object in a log row's metadata are kept. The rest may quote a prompt (an error's message and
# traceback, a tool's arguments) or is 10 kB of LiteLLM's price map.
KEPT_MEMBERS = {
    "error_information": {
        "error_code",
        "error_class",
        "llm_provider",
        "error_provider_request_id",
        "error_rate_limit_category",
        "error_rate_limit_type",
        "error_budget_entity_type",
        "error_budget_entity_id",
        "error_budget_limit",
        "error_budget_spend",
        "normalized_error",
    },
    "mcp_tool_call_metadata": {"name", "namespaced_tool_name", "mcp_server_name"},
    "model_map_information": {"model_map_key"},
}
# LiteLLM stores these values where the call said nothing. We store nothing then, which reads the same.
SAID_BY_DEFAULT = {"billed_retry_attempt": False, "litellm_roi_estimator": False}
# The tables that a LiteLLM with a ledger still fills from a queue or from its log rows.
OUTSIDE_LEDGER = ("LiteLLM_DailyRequestErrors", "LiteLLM_DailyToolSpend", "LiteLLM_SpendLogToolIndex")
_TIMES = ("startTime", "endTime", "completionStartTime")
_DOCUMENTS = ("messages", "response", "proxy_server_request", "request_tags")
_INT4 = ("prompt_tokens", "completion_tokens", "total_tokens", "request_duration_ms")
INT4_RANGE = (-(2**31), 2**31 - 1)


def of_litellm(case: Golden, before: State) -> State:
    """LiteLLM's result on the tables, whose state was `before` when the case began."""
    state = copy.deepcopy(before)
    for change in case.entity_changes:
        columns, _ = ENTITIES[change["table"]]
        key = tuple(change["key"][column] for column in columns)
        state[change["table"]][key] = {**state[change["table"]].get(key, {}), **change["after"]}
    for table in ROWS:
        for row in case.rows.get(table, []):
            state[table][key_of(table, row)] = SHOWN[table](row) if table in SHOWN else row
    return state


def of_ledger(case: Golden, before: State, charged: State) -> State:
    """The result of LiteLLM's ledger, `charged`, with the tables that the ledger leaves to other writers."""
    state = {**copy.deepcopy(charged), **{table: of_litellm(case, before)[table] for table in OUTSIDE_LEDGER}}
    for row in state["LiteLLM_SpendLogs"].values():
        row["metadata"] = _kept_metadata(row["metadata"])
    return state


def log_row(row: Row) -> Row:
    """A golden's SpendLogs row as the database shows it."""
    times = {name: _stored_time(row[name]) for name in _TIMES if row[name]}
    return {**row, **times, "metadata": _kept_metadata(row["metadata"])}


def _tool_index_row(row: Row) -> Row:
    return {**row, "start_time": _stored_time(row["start_time"])}


# The tables whose rows differ in form between the goldens' JSON and the database.
SHOWN = {"LiteLLM_SpendLogs": log_row, "LiteLLM_SpendLogToolIndex": _tool_index_row}


def log_row_of(payload: Row) -> Row:
    """The row that a SpendLogs payload asks for, where LiteLLM lost its own row."""
    documents = {name: json.loads(payload[name]) for name in _DOCUMENTS}
    least, most = INT4_RANGE
    counts = {name: max(least, min(most, payload[name])) for name in _INT4}
    return log_row({**payload, **documents, **counts})


def without_defaults(state: State) -> State:
    """An actual state with SAID_BY_DEFAULT taken out."""
    shown = copy.deepcopy(state)
    for row in shown["LiteLLM_SpendLogs"].values():
        row["metadata"] = _without_defaults(row["metadata"])
    return shown


def _stored_time(text: str) -> datetime:
    """UTC in timestamp(3), which rounds."""
    time = datetime.fromisoformat(text).replace(tzinfo=None)
    return datetime.min + round((time - datetime.min) / _MILLISECOND) * _MILLISECOND


_MILLISECOND = datetime.resolution * 1000


def _kept_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    kept = _without_defaults(metadata)
    for parent, members in KEPT_MEMBERS.items():
        if isinstance(kept.get(parent), dict):
            kept[parent] = {name: value for name, value in kept[parent].items() if name in members}
    return kept


def _without_defaults(metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in metadata.items()
        if not (name in SAID_BY_DEFAULT and value == SAID_BY_DEFAULT[name])
    }
