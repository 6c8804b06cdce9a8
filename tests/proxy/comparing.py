"""The rows and answers of two proxies in a form that can be compared: rows by name, without random values."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from harness.database import Database
from harness.litellm_tables import LOGS, TABLES

from . import traffic

Row = dict[str, Any]
MISSING = "missing"
ANY = object()
KEYS = {
    name: tuple(column for column in table.key if column != "date") for name, table in TABLES.items() if name != LOGS
}
"""The columns that name a row of each table but the log. The day is left out, because midnight may pass."""
IGNORED = {"LiteLLM_ProxyWorkerHeartbeat"}
"""Tables that no request writes."""
_KEY_NAMES = {hashlib.sha256(traffic.secret(key).encode()).hexdigest(): key for key in (*traffic.KEYS, "unknown")}
_RANDOM = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"(_cache_hit)[0-9.]+"), r"\1<time>"),
    # LiteLLM's encrypted ids.
    (re.compile(r"\b(resp_)[\w=-]{60,}"), r"\1<encrypted>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(T[0-9:.]+(Z|\+00:00)?)?"), "<day>"),
)


@dataclass(frozen=True)
class Difference:
    """A difference between the results of LiteLLM's own writer and of the callback."""

    place: str
    row: str
    own: Any
    callback: Any


@dataclass(frozen=True)
class Named:
    """A difference that must exist, and why. `place` and `rows` may hold wildcards."""

    place: str
    why: str
    rows: str = "*"
    own: Any = ANY
    """The value of LiteLLM's own writer, if it is always the same."""
    callback: Any = ANY
    """The value in the callback's database, if it is always the same."""
    version: str | None = None

    def covers(self, found: Difference) -> bool:
        return (
            fnmatchcase(found.place, self.place)
            and fnmatchcase(found.row, self.rows)
            and self.own in (ANY, found.own)
            and self.callback in (ANY, found.callback)
        )


def unexplained(found: list[Difference], named: tuple[Named, ...], version: str) -> list[str]:
    """A line for each difference that no name covers, and for each name that covers none."""
    expected = [name for name in named if name.version in (None, version)]
    lines = [f"not named: {difference}" for difference in found if not any(n.covers(difference) for n in expected)]
    return lines + [f"no longer there: {name}" for name in expected if not any(map(name.covers, found))]


def tables_of(database: Database, address: str) -> dict[str, dict[str, Row]]:
    """The rows of all LiteLLM tables that have rows, by the name of the row."""
    tables = {}
    names = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
               AND relname ^@ 'LiteLLM_' ORDER BY 1"""
    for (table,) in database.query(names):
        if table not in IGNORED and (rows := database.rows(f'SELECT * FROM "{table}"')):
            tables[table] = named_rows(table, [dict(flat(plain(row, address))) for row in rows])
    return tables


def named_rows(table: str, rows: list[Row]) -> dict[str, Row]:
    named: dict[str, Row] = {}
    for row in rows:
        name = name_of_log_row(row) if table == LOGS else ", ".join(str(row[column]) for column in KEYS[table])
        row.pop("date", None)
        if table == "LiteLLM_DailyTagSpend":
            row.pop("request_id")  # any one of the requests
        if name in named:
            row = {column: added(value, row.get(column)) for column, value in named[name].items()}
        named[name] = row
    return named


def name_of_log_row(row: Row) -> str:
    call_id = str(row["litellm_call_id"])
    return call_id if call_id != "<uuid>" else f"{row['model']} of {row['api_key'] or 'nobody'}, {row['status']}"


def added(value: Any, other: Any) -> Any:
    """Add two rows that differ only in their day or in random values."""
    return value + other if isinstance(value, (int, float)) and isinstance(other, (int, float)) else value


def differences(own: Mapping[str, Mapping[str, Row]], callback: Mapping[str, Mapping[str, Row]]) -> list[Difference]:
    """Column by column, of all rows of all tables."""
    found = []
    for table in sorted(own.keys() | callback.keys()):
        mine, others = own.get(table, {}), callback.get(table, {})
        for row in sorted(mine.keys() | others.keys()):
            if row not in mine or row not in others:
                found.append(Difference(table, row, *("a row" if row in side else MISSING for side in (mine, others))))
                continue
            for column in sorted(mine[row].keys() | others[row].keys()):
                values = mine[row].get(column, MISSING), others[row].get(column, MISSING)
                if not same(*values):
                    found.append(Difference(f"{table}.{column}", row, *values))
    return found


def differences_of_pages(own: Mapping[str, Any], callback: Mapping[str, Any]) -> list[Difference]:
    """Value by value, of the JSON of each page. Lists count as sets, because equal amounts may be in any order."""
    found = []
    for page in own:
        mine, others = Counter(leaves(own[page])), Counter(leaves(callback[page]))
        for path, value in sorted(mine - others):
            found.append(Difference(f"{page}: {path}", "", value, MISSING))
        for path, value in sorted(others - mine):
            found.append(Difference(f"{page}: {path}", "", MISSING, value))
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, f"{value:.9g}" if isinstance(value, float) else str(value)


def plain(value: Any, address: str, name: str = "") -> Any:
    """The value without what differs from run to run: addresses, times, durations, keys' hashes, random ids."""
    if isinstance(value, dict):
        return {plain(key, address): plain(member, address, key) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, address) for item in value]
    if isinstance(value, datetime):
        return "<time>"
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return "<measured>" if name.endswith("_ms") else float(value)
    if isinstance(value, str):
        value = value.replace(address, "<provider>")
        for digest, key in _KEY_NAMES.items():
            value = value.replace(digest, f"<key of {key}>")
        for pattern, mark in _RANDOM:
            value = pattern.sub(mark, value)
    return value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The members of an object by their path. A list is one value, and an empty object has no member."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from flat(member, f"{path}.{name}" if path else name)
    else:
        yield path, json.dumps(value) if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    # Our rows leave out null values.
    return one == other or {one, other} == {None, MISSING}
