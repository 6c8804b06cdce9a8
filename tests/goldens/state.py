"""The contents of the tables that folds write: read from a database, and compared with what is expected."""

from __future__ import annotations

import math
from typing import Any

from harness.database import Database
from harness.litellm_tables import FOLDED, UNCOMPARED

Row = dict[str, Any]
Key = tuple[Any, ...]
# table: {key: row}
State = dict[str, dict[Key, Row]]
# table: its columns
Columns = dict[str, set[str]]

# Tables whose rows the operator creates: the key, and the columns that are compared. Of last_active only "is set"
# counts.
ENTITIES = {name: (table.key, table.changed) for name, table in FOLDED.items() if table.changed}
# Tables whose rows are compared whole, except the columns in UNCOMPARED: their keys.
ROWS = {name: table.key for name, table in FOLDED.items() if not table.changed}
# The golden numbers are sums of floats from left to right. In a sum below 10 the least cost, 1e-12, must show.
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
    """The part of the state that a schema with just these columns would show. Rows that then share a key become one."""
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
    """Add the row to the one with this key, or put it there if there is none."""
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
    """A line for each place where the two differ. A missing member equals null, and a set holds the allowed values."""
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
