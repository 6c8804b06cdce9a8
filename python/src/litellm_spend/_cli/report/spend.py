"""The sums of LiteLLM's daily tables, read in one snapshot, and what they do not hold."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..database import Problem, Server
from ..text import count, duration
from . import grants
from .period import Period

# The users' table holds each request once, also those without a user. So it has the totals, the days and the models.
TOTALS_TABLE = "LiteLLM_DailyUserSpend"
_LONGEST_QUERY = "30s"
# Anybody who may create a schema may name one litellm_spend.
_HAS_STATUS = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
    JOIN pg_catalog.pg_class AS c ON c.oid = d.objid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE d.classid = 'pg_class'::regclass AND n.nspname = 'litellm_spend' AND c.relname = 'status'
      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'litellm_spend') AS is_there
"""


@dataclass(frozen=True)
class Dimension:
    """A list of the report: the table that it comes from and the column whose values are its rows."""

    table: str
    column: str
    title: str
    nobody: str
    """The row of requests that have no value."""


DIMENSIONS = {
    "user": Dimension(TOTALS_TABLE, "user_id", "Users", "(no user)"),
    "team": Dimension("LiteLLM_DailyTeamSpend", "team_id", "Teams", "(no team)"),
    "tag": Dimension("LiteLLM_DailyTagSpend", "tag", "Tags", "(empty tag)"),
    "model": Dimension(TOTALS_TABLE, "model", "Models", "(no model)"),
}


@dataclass(frozen=True)
class Sums:
    """Dollars, requests, and tokens of prompts and completions."""

    spend: Decimal = Decimal(0)
    requests: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, row: dict[str, Any]) -> Sums:
        return cls(Decimal(str(row["spend"])), int(row["requests"]), int(row["tokens"]))

    def __sub__(self, other: Sums) -> Sums:
        is_finite = self.spend.is_finite() and other.spend.is_finite()
        spend = self.spend - other.spend if is_finite else Decimal("NaN")
        return Sums(spend, self.requests - other.requests, self.tokens - other.tokens)


@dataclass(frozen=True)
class Section:
    """A list: its first rows, and how much all others come to."""

    title: str
    rows: list[tuple[str, Sums]]
    others: int
    rest: Sums
    is_part_of_total: bool
    """Whether each request is in one row at most, so that a row is a share of the total."""


@dataclass(frozen=True)
class Report:
    """All numbers of a report, and sentences on what they do not say."""

    period: Period
    total: Sums
    days: list[tuple[str, Sums]] | None
    sections: list[Section]
    notes: list[str]


def read(server: Server, period: Period, chosen: tuple[str, ...], top: int, urls_schema: str | None) -> Report:
    """Reads the report in a read-only transaction; raises Problem."""
    server.connect()
    server.value("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    # Every name below says its schema. Operators are pg_catalog's, whatever the role's search_path is.
    server.value("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)")
    server.value("SELECT pg_catalog.set_config('statement_timeout', $1, true)", _LONGEST_QUERY)
    schema = server.value("SELECT current_setting('litellm_spend.target_schema', true)") or urls_schema or "public"
    dimensions = [DIMENSIONS[name] for name in chosen if name in DIMENSIONS]
    notes = grants.check(server, schema, [TOTALS_TABLE, *(dimension.table for dimension in dimensions)])
    total = Sums.of(_query(server, schema, TOTALS_TABLE, "''", period, 0)["all"])
    days = _days(server, schema, period) if "day" in chosen else None
    sections = [_section(server, schema, dimension, period, top, total, notes) for dimension in dimensions]
    notes.append(_backlog(server))
    server.value("ROLLBACK")
    return Report(period, total, days, sections, notes)


def _days(server: Server, schema: str, period: Period) -> list[tuple[str, Sums]]:
    days = period.days()
    found = _query(server, schema, TOTALS_TABLE, "date", period, len(days))["top"]
    sums = {row["name"]: Sums.of(row) for row in found}
    return [(day, sums.get(day, Sums())) for day in days]


def _section(
    server: Server, schema: str, dimension: Dimension, period: Period, top: int, total: Sums, notes: list[str]
) -> Section:
    found = _query(server, schema, dimension.table, dimension.column, period, top)
    rows = [(row["name"] or dimension.nobody, Sums.of(row)) for row in found["top"]]
    rest = Sums.of(found["all"])
    for _, sums in rows:
        rest -= sums
    is_part = dimension.column != "tag"
    if not is_part:
        notes.append(
            "A request with several tags is in the row of each, and a request without tags in none: "
            "the rows of the tags do not add up to the total."
        )
    elif (missing := total - Sums.of(found["all"])).requests > 0:
        notes.append(
            f"Requests that are in no row of {dimension.title.lower()}: {count(missing.requests)}. "
            f"{dimension.table} has no row for them."
        )
    return Section(dimension.title, rows, int(found["count"]) - len(rows), rest, is_part)


def _query(server: Server, schema: str, table: str, column: str, period: Period, top: int) -> dict[str, Any]:
    """The rows with the highest spend by a column, the number of all rows, and the sums of all.

    Spend is a float in the tables. It is added up as numeric, so that the sum does not depend on the order.
    """
    sums = (
        "sum(spend::numeric) AS spend, sum(api_requests) AS requests, sum(prompt_tokens + completion_tokens) AS tokens"
    )
    return server.row(
        f"""
        WITH s AS MATERIALIZED (
            SELECT coalesce({column}, '') AS name, {sums} FROM {grants.qualified(schema, table)}
            WHERE date >= $1::text AND date <= $2::text GROUP BY 1)
        SELECT (SELECT count(*) FROM s) AS count,
               (SELECT to_json(a) FROM (SELECT coalesce(sum(spend), 0) AS spend, coalesce(sum(requests), 0) AS requests,
                                               coalesce(sum(tokens), 0) AS tokens FROM s) AS a) AS "all",
               (SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM s ORDER BY spend DESC, requests DESC, name
                                                         LIMIT $3::int) AS t) AS top""",
        str(period.first),
        str(period.last),
        str(top),
    )


def _backlog(server: Server) -> str:
    """A sentence on the records that no fold has counted yet."""
    if not server.row(_HAS_STATUS)["is_there"]:
        return "Not known: how many records wait to be folded, because the database does not have the extension."
    try:
        status = server.row("SELECT backlog, extract(epoch FROM lag)::float8 AS lag FROM litellm_spend.status")
    except Problem as error:
        if error.sqlstate == "42501":
            return "Not known: how many records wait to be folded. Only a role with pg_monitor may see it."
        return f"Not known: how many records wait to be folded ({error})."
    if not status["backlog"]:
        return "All committed records are counted."
    return (
        f"Committed records that are not counted yet: {count(status['backlog'])}. "
        f"The oldest has waited for {duration(float(status['lag']))}."
    )
