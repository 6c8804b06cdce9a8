"""What Postgres holds after the demo: each query as it can be typed into psql, and its rows."""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal
from typing import Any

import psycopg
from rich import box
from rich.console import Console
from rich.table import Table

# In a file or a pipe, tables may be as wide as they are.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
QUERIES = {
    "Spend by user": "SELECT user_id, spend FROM litellm_usertable WHERE user_id LIKE 'demo-user-%' ORDER BY user_id",
    "Spend by team": "SELECT team_id, spend FROM litellm_teamtable WHERE team_id LIKE 'demo-%' ORDER BY team_id",
    "Spend by tag (a call with two tags counts in both)": (
        "SELECT tag, sum(api_requests) AS requests, sum(spend) AS spend\n"
        "FROM litellm_dailytagspend WHERE tag LIKE 'demo-%' GROUP BY tag ORDER BY tag"
    ),
    "Spend by day and model": (
        "SELECT date, model, sum(api_requests) AS requests, sum(prompt_tokens) AS prompt_tokens,\n"
        "       sum(completion_tokens) AS completion_tokens, sum(spend) AS spend\n"
        "FROM litellm_dailyuserspend WHERE user_id LIKE 'demo-user-%' GROUP BY date, model ORDER BY date, model"
    ),
    "Rows in each table": " UNION ALL\n".join(
        f'SELECT \'{table}\' AS "table", count(*) AS rows FROM "{table}"'
        for table in (
            "LiteLLM_SpendLogs",
            "LiteLLM_UserTable",
            "LiteLLM_TeamTable",
            "LiteLLM_TagTable",
            "LiteLLM_DailyUserSpend",
            "LiteLLM_DailyTeamSpend",
            "LiteLLM_DailyTagSpend",
        )
    ),
    "The worker": "SELECT worker, lag, backlog, folded, duplicates, rejected, advice FROM litellm_spend.status",
}


def say(text: str) -> None:
    started = int(os.environ.get("LITELLM_SPEND_T0", time.time()))
    console.print(f"[{int(time.time()) - started:3d} s] {text}", markup=False, soft_wrap=True)


def print_report(connection: psycopg.Connection, calls: dict[str, Any], lag: float) -> None:
    for title, query in QUERIES.items():
        print_query(connection, title, query)
    [held] = connection.execute(
        """SELECT sum(spend) FROM "LiteLLM_SpendLogs" WHERE "user" LIKE 'demo-user-%'"""
    ).fetchone()
    console.print()
    say(f"{calls['calls']} calls took {calls['seconds']:.2f} s; the SDK says they cost ${calls['cost']:.6f}")
    say(f"Postgres holds ${held:.6f} of the demo's users, and held all of it {lag:.2f} s after the last call returned")


def print_query(connection: psycopg.Connection, title: str, query: str) -> None:
    cursor = connection.execute(query)
    table = Table(box=box.SIMPLE_HEAD)
    rows = cursor.fetchall()
    for index, column in enumerate(cursor.description or []):
        numeric = any(isinstance(row[index], int | float | Decimal) for row in rows)
        table.add_column(column.name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[shown(value) for value in row])
    console.print(f"\n{title}", style="bold")
    console.print(f"{query};", style="dim", markup=False, soft_wrap=True)
    console.print(table)


def shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
