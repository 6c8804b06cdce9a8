"""The spend that LiteLLM's proxy shows of its database, through the endpoints that the UI's pages call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .server import Proxy

# A total of requests and spend, or None where an endpoint has no such total.
Total = tuple[int | None, float | None]


def asked(proxy: Proxy) -> dict[str, Total]:
    """The totals of all days around today, for each page."""
    days = _days()
    usage, of_teams = (proxy.get(f"/{kind}/daily/activity", **days)["metadata"] for kind in ("user", "team"))
    logs = proxy.get("/spend/logs/v2", page_size="100", **days)
    return {
        "usage": _of_usage(usage),
        "usage of teams": _of_usage(of_teams),
        "logs": (logs["total"], _sum(logs["data"], "spend")),
        "users": (None, _sum(proxy.get("/spend/users"), "spend")),
        "activity": (proxy.get("/global/activity", **days)["sum_api_requests"], None),
        "spend": (None, proxy.get("/global/spend")["spend"]),
        "spend a day": (None, _sum(proxy.get("/global/spend/logs"), "spend")),
        "spend of keys": (None, _sum(proxy.get("/global/spend/keys"), "total_spend")),
        "spend of models": (None, _sum(proxy.get("/global/spend/models"), "total_spend")),
        "spend of end users": (None, _sum(proxy.post("/global/spend/end_users"), "total_spend")),
    }


def of_team(proxy: Proxy, team: str) -> dict[str, Total]:
    """The totals that the page of the teams' usage shows for one team."""
    return {"usage": _of_usage(proxy.get("/team/daily/activity", team_ids=team, **_days())["metadata"])}


def _days() -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"start_date": str(today - timedelta(1)), "end_date": str(today + timedelta(1))}


def _of_usage(metadata: dict[str, Any]) -> Total:
    return metadata["total_api_requests"], metadata["total_spend"]


def _sum(rows: list[dict[str, Any]], column: str) -> float:
    return sum(row[column] for row in rows)
