"""Compares the tables of a database with their expected contents: every row, every number."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from harness.database import Database
from harness.litellm_tables import FOLDED, LOGS, TOOL_INDEX

from .call import Call
from .expected import Rows, Total, identity_of, tools_of

KEYS = {name: table.key for name, table in FOLDED.items() if table.has_sums}
"""Every table with sums, and the key columns of its rows."""
INT4_MAX = 2**31 - 1


@dataclass
class Comparison:
    """The result for one table."""

    table: str
    rows: int
    spend: float
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "equal" if not self.problems else f"{len(self.problems)} differences, such as: {self.problems[0]}"
        return f"{self.table:36} {self.rows:6} rows  {self.spend:22.9f} USD  {verdict}"


def compare(database: Database, expected: dict[str, Rows], calls: list[Call]) -> list[Comparison]:
    """A comparison of each table that this LiteLLM has. Columns that it lacks are left out."""
    present = {name for (name,) in database.query("SELECT tablename FROM pg_tables WHERE tablename ^@ 'LiteLLM_'")}
    found = [_compare_sums(database, table, expected.get(table, {})) for table in KEYS if table in present]
    found.append(_compare_log(database, calls))
    if TOOL_INDEX in present:
        found.append(_compare_tool_index(database, calls))
    return found


def _compare_sums(database: Database, table: str, expected: Rows) -> Comparison:
    actual = database.rows(f'SELECT * FROM "{table}"')
    result = Comparison(table, len(actual), math.fsum(row.get("spend") or 0 for row in actual))
    columns = _columns(database, table)
    key_columns = [column for column in KEYS[table] if column in columns]
    by_key = {tuple(row[column] for column in key_columns): row for row in actual}
    wanted = on_key_of(expected, table, columns)
    if len(by_key) != len(actual):
        result.problems.append(f"{len(actual) - len(by_key)} rows share their key")
    result.problems += [f"{key} is missing" for key in wanted.keys() - by_key.keys()]
    result.problems += [f"{key} is too much" for key in by_key.keys() - wanted.keys()]
    for key in wanted.keys() & by_key.keys():
        for column, total in wanted[key].items():
            if column in columns and (problem := total.problem_with(by_key[key][column])):
                result.problems.append(f"{key} {column}: {problem}")
    return result


def _columns(database: Database, table: str) -> set[str]:
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    return {name for (name,) in database.query(query, f'"{table}"')}


def on_key_of(expected: Rows, table: str, columns: set[str]) -> Rows:
    """The rows of an older LiteLLM, whose key has fewer columns."""
    kept = [column in columns for column in KEYS[table]]
    merged: Rows = {}
    for key, row in expected.items():
        sums = merged.setdefault(tuple(part for part, keep in zip(key, kept, strict=True) if keep), {})
        for column, total in row.items():
            sums.setdefault(column, Total()).parts.extend(total.parts)
    return merged


def _compare_log(database: Database, calls: list[Call]) -> Comparison:
    actual = database.rows(f'SELECT * FROM "{LOGS}"')
    result = Comparison(LOGS, len(actual), math.fsum(row["spend"] for row in actual))
    unseen = _log_rows(calls)
    for row in actual:
        found = {column: row[column] for column in next(iter(unseen.values()), {}) if column in row}
        call_id = _call_id(row)
        wanted = unseen.pop(call_id, None)
        if wanted is None:
            result.problems.append(f"{call_id} is too much")
        elif different := [column for column in found if found[column] != wanted[column]]:
            column = different[0]
            result.problems.append(f"{call_id} {column}: expected {wanted[column]!r}, found {found[column]!r}")
    result.problems += [f"{call_id} is missing" for call_id in unseen]
    result.problems += _wrong_ids([(row["request_id"], _call_id(row)) for row in actual], calls)
    return result


def _call_id(row: dict) -> str:
    return row.get("litellm_call_id") or row["metadata"]["litellm_call_id"]


def _log_rows(calls: list[Call]) -> dict[str, dict]:
    rows = {}
    for call in calls:
        identity = identity_of(call)
        rows[call.call_id] = {
            "spend": call.cost,
            "api_key": call.key_hash,
            "call_type": call.call_type,
            "model": call.model,
            "model_group": call.group,
            "custom_llm_provider": call.provider,
            "user": identity.user or "",
            "team_id": identity.team or "",
            "organization_id": identity.organization or "",
            "end_user": call.end_user or "",
            "agent_id": call.agent,
            "prompt_tokens": min(call.prompt_tokens, INT4_MAX),
            "completion_tokens": min(call.completion_tokens, INT4_MAX),
            "total_tokens": min(call.total_tokens, INT4_MAX),
            "request_duration_ms": call.duration_ms,
            "status": "failure" if call.failed else "success",
            "request_tags": list(call.tags),
            "mcp_namespaced_tool_name": call.mcp_tool,
        }
    return rows


def _wrong_ids(found: list[tuple[str, str]], calls: list[Call]) -> list[str]:
    """One of the calls that share an id has it, no matter which. The others have their call id behind it."""
    sharing: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        sharing[call.request_id].add(call.call_id)
    logged: dict[str, set[str]] = defaultdict(set)
    problems = []
    for request_id, call_id in found:
        plain, _, behind = request_id.partition("#")
        logged[plain].add(call_id)
        if behind not in ("", call_id):
            problems.append(f"{request_id} is the id of {call_id}")
    plain_ids = sum("#" not in request_id for request_id, _ in found)
    if plain_ids != len(sharing):
        problems.append(f"{plain_ids} ids are as sent, not {len(sharing)}")
    return problems + [
        f"{request_id} is logged for {logged[request_id]}"
        for request_id in sharing
        if logged[request_id] != sharing[request_id]
    ]


def _compare_tool_index(database: Database, calls: list[Call]) -> Comparison:
    call_ids = {row["request_id"]: _call_id(row) for row in database.rows(f'SELECT * FROM "{LOGS}"')}
    actual = database.query(f'SELECT request_id, tool_name FROM "{TOOL_INDEX}"')
    result = Comparison(TOOL_INDEX, len(actual), 0.0)
    wanted = {(call.call_id, tool) for call in calls for tool in tools_of(call)}
    found = {(call_ids.get(request_id), tool) for request_id, tool in actual}
    result.problems += [f"{entry} is missing" for entry in wanted - found]
    result.problems += [f"{entry} is too much" for entry in found - wanted]
    return result
