"""What the tables that folds write hold: read from a database, and compared with what is expected."""

from __future__ import annotations

import math
from typing import Any

from harness.database import Database

Row = dict[str, Any]
Key = tuple[Any, ...]
# table: {key: row}
State = dict[str, dict[Key, Row]]
# table: its columns
Columns = dict[str, set[str]]

# Entity tables: the key, and the columns that a spend may change. Of last_active only "is set" counts.
ENTITIES = {
    "LiteLLM_UserTable": (("user_id",), ("spend",)),
    "LiteLLM_EndUserTable": (("user_id",), ("spend", "blocked")),
    "LiteLLM_VerificationToken": (("token",), ("spend", "total_spend", "last_active")),
    "LiteLLM_TeamTable": (("team_id",), ("spend",)),
    "LiteLLM_TeamMembership": (("team_id", "user_id"), ("spend", "total_spend")),
    "LiteLLM_OrganizationTable": (("organization_id",), ("spend",)),
    "LiteLLM_OrganizationMembership": (("organization_id", "user_id"), ("spend",)),
    "LiteLLM_ProjectTable": (("project_id",), ("spend",)),
    "LiteLLM_TagTable": (("tag_name",), ("spend",)),
    "LiteLLM_ModelAccessGroupBudgetTable": (("access_group_name",), ("spend",)),
    "LiteLLM_AgentsTable": (("agent_id",), ("spend",)),
    "LiteLLM_BudgetTable": (("budget_id",), ("max_budget", "soft_budget")),
}
_DAILY_KEY = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint")
# The daily tables: their entity.
DAILY = {
    "LiteLLM_DailyUserSpend": "user_id",
    "LiteLLM_DailyTeamSpend": "team_id",
    "LiteLLM_DailyOrganizationSpend": "organization_id",
    "LiteLLM_DailyEndUserSpend": "end_user_id",
    "LiteLLM_DailyAgentSpend": "agent_id",
    "LiteLLM_DailyTagSpend": "tag",
}
# Tables whose rows are compared whole, but for the columns in UNCOMPARED: their keys.
ROWS = {
    **{table: (entity, *_DAILY_KEY) for table, entity in DAILY.items()},
    "LiteLLM_SpendLogs": ("request_id",),
    "LiteLLM_SpendLogToolIndex": ("request_id", "tool_name"),
    "LiteLLM_DailyModelUsage": ("date", "model_group", "model", "custom_llm_provider", "task_type"),
    "LiteLLM_DailyToolSpend": ("date", "tool_name"),
    "LiteLLM_DailyRequestErrors": ("date", "api_key", "team_id", "user_id", "model_group", "status_code"),
    "LiteLLM_DailyGatewayRequests": ("date", "category", "route"),
    "LiteLLM_DailyGatewayFailedRequests": ("date", "category", "route", "status_code"),
    "LiteLLM_BudgetWindowSpend": ("entity_type", "entity_id", "window_duration"),
}
UNCOMPARED = {"id", "created_at", "updated_at"}
# Golden numbers were summed in floats from left to right. In a sum below 10 the least cost, 1e-12, must show.
TOLERANCE = 1e-13


def key_of(table: str, row: Row) -> Key:
    """The key of a row of one of ROWS, without the columns that an older schema lacks."""
    return tuple(row[column] for column in ROWS[table] if column in row)


def columns_of(database: Database) -> Columns:
    """The tables of the database that may be compared, with all their columns."""
    names = database.query(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = ANY (%s)",
        [*ENTITIES, *ROWS],
    )
    columns: Columns = {}
    for table, column in names:
        columns.setdefault(table, set()).add(column)
    return columns


def read(database: Database, columns: Columns) -> State:
    """All rows of these tables."""
    state: State = {}
    for table, (key, changed) in ENTITIES.items():
        if table in columns:
            of_row = ", ".join(_shown(column) for column in (*key, *changed) if column in columns[table])
            rows = database.rows(f'SELECT {of_row} FROM "{table}"')
            state[table] = {tuple(row.pop(column) for column in key): row for row in rows}
    for table in ROWS:
        if table in columns:
            rows = database.rows(f'SELECT * FROM "{table}"')
            kept = [{name: value for name, value in row.items() if name not in UNCOMPARED} for row in rows]
            state[table] = {key_of(table, row): row for row in kept}
    return state


def _shown(column: str) -> str:
    return "last_active IS NOT NULL AS last_active" if column == "last_active" else column


def restricted(state: State, columns: Columns) -> State:
    """What a schema with just these columns would show of the state; rows that then share a key are one."""
    shown: State = {}
    for table, rows in state.items():
        if table not in columns:
            continue
        shown[table] = {}
        for key, row in rows.items():
            kept = {name: value for name, value in row.items() if name in columns[table]}
            add_row(shown, table, kept, key if table in ENTITIES else key_of(table, kept))
    return shown


def add_row(state: State, table: str, row: Row, key: Key) -> None:
    """Add the row to one with this key, else put it there."""
    other = state[table].get(key)
    state[table][key] = _sum(other, row, ROWS.get(table, ())) if other else row


def _sum(one: Row, other: Row, key: tuple[str, ...]) -> Row:
    def add(name: str) -> Any:
        value = one[name]
        if isinstance(value, frozenset):
            return value | other[name]
        return value if name in key or isinstance(value, str) else value + other[name]

    return {name: add(name) for name in one}


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Where the two differ, a line each. A missing member equals null; a set holds what is allowed."""
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
    if isinstance(expected, frozenset):
        return actual in expected
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in (expected, actual)):
        return type(expected) is type(actual) and expected == actual
    return math.isclose(expected, actual, rel_tol=TOLERANCE, abs_tol=0.0)
