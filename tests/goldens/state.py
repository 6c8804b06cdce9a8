"""What the tables of this slice hold: read from a database, and compared with what is expected."""

from __future__ import annotations

import math
from typing import Any

from harness.database import Database

Row = dict[str, Any]
Key = tuple[str, ...]
# table: {key: row}
State = dict[str, dict[Key, Row]]

# Entity tables: the key, and the columns that a spend may change. Of last_active only "is set" counts.
ENTITIES = {
    "LiteLLM_UserTable": ("user_id", ["spend"]),
    "LiteLLM_EndUserTable": ("user_id", ["spend", "blocked"]),
    "LiteLLM_VerificationToken": ("token", ["spend", "total_spend", "last_active"]),
    "LiteLLM_TeamTable": ("team_id", ["spend"]),
    "LiteLLM_OrganizationTable": ("organization_id", ["spend"]),
    "LiteLLM_TagTable": ("tag_name", ["spend"]),
    "LiteLLM_BudgetTable": ("budget_id", ["max_budget", "soft_budget"]),
}
_DAILY_KEY = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint")
# Tables whose rows are compared whole, but for the columns in UNCOMPARED: their keys.
ROWS = {
    "LiteLLM_DailyUserSpend": ("user_id", *_DAILY_KEY),
    "LiteLLM_DailyTeamSpend": ("team_id", *_DAILY_KEY),
    "LiteLLM_DailyTagSpend": ("tag", *_DAILY_KEY),
    "LiteLLM_SpendLogs": ("request_id",),
}
UNCOMPARED = {"id", "created_at", "updated_at"}
# Golden numbers were summed in floats from left to right.
TOLERANCE = 1e-12


def key_of(table: str, row: Row) -> Key:
    """The key of a row of one of ROWS."""
    return tuple(row[column] for column in ROWS[table])


def read(database: Database) -> State:
    """All rows of this slice's tables."""
    state: State = {}
    for table, (key, columns) in ENTITIES.items():
        values = ", ".join("last_active IS NOT NULL AS last_active" if c == "last_active" else c for c in columns)
        rows = database.rows(f'SELECT {key} AS the_key, {values} FROM "{table}"')
        state[table] = {(row.pop("the_key"),): row for row in rows}
    for table in ROWS:
        rows = database.rows(f'SELECT * FROM "{table}"')
        kept = [{name: value for name, value in row.items() if name not in UNCOMPARED} for row in rows]
        state[table] = {key_of(table, row): row for row in kept}
    return state


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Where the two differ, a line each. A missing member equals null."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        names = sorted(set(expected) | set(actual), key=str)
        return [
            line
            for name in names
            for line in differences(expected.get(name), actual.get(name), f"{path} {name}".strip())
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = zip(expected, actual, strict=True)
        return [line for at, pair in enumerate(pairs) for line in differences(*pair, f"{path} {at}")]
    return [] if _equal(expected, actual) else [f"{path}: expected {expected!r}, found {actual!r}"]


def _equal(expected: Any, actual: Any) -> bool:
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in (expected, actual)):
        return type(expected) is type(actual) and expected == actual
    return math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=0.0)
