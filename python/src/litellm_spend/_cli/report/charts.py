"""The charts of the page, as Plotly's figures. The page's style sheet gives them their colours, light and dark."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Any

from ..text import count, dollars, printable
from .spend import Section, Sums

DAYS_HEIGHT = 260
_BARS = 8
_BAR_HEIGHT = 30
_LONGEST_LABEL = 22

_LAYOUT: dict[str, Any] = {
    "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "showlegend": False,
    "bargap": 0.35,
    "hoverlabel": {"align": "left"},
    "dragmode": False,
}


def days(rows: list[tuple[str, Sums]], digits: int) -> dict[str, Any]:
    """A bar for each day."""
    amounts = [_number(sums.spend) for _, sums in rows]
    bars = {
        "type": "bar",
        "x": [day for day, _ in rows],
        "y": amounts,
        "customdata": [_hover(day, sums, digits) for day, sums in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout = {
        **_LAYOUT,
        "xaxis": {
            "type": "date",
            "fixedrange": True,
            "automargin": True,
            "showgrid": False,
            "tickformat": "%b %-d",
            "tickangle": 0,
        },
        "yaxis": {
            "fixedrange": True,
            "automargin": True,
            "tickprefix": "$",
            "tickformat": _tick_format(max(amount or 0.0 for amount in amounts)),
            "rangemode": "tozero",
            "nticks": 5,
        },
    }
    # Plotly would mark the hours of a few days.
    if len(rows) <= 5:
        layout["xaxis"]["tickvals"] = bars["x"]
    return {"data": [bars], "layout": layout}


def ranking(section: Section, digits: int) -> dict[str, Any]:
    """A bar for each of the first rows of a list, the largest on top."""
    rows = section.rows[:_BARS]
    places = list(range(len(rows)))
    bars = {
        "type": "bar",
        "orientation": "h",
        # Two names may have the same label, so the places are numbers.
        "y": places,
        "x": [_number(sums.spend) for _, sums in rows],
        "customdata": [_hover(name, sums, digits) for name, sums in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    layout = {
        **_LAYOUT,
        "xaxis": {"fixedrange": True, "visible": False, "rangemode": "tozero"},
        "yaxis": {
            "fixedrange": True,
            "automargin": True,
            "autorange": "reversed",
            "showgrid": False,
            "zeroline": False,
            "ticklabelstandoff": 6,
            "tickvals": places,
            "ticktext": [_label(name) for name, _ in rows],
        },
    }
    return {"data": [bars], "layout": layout}


def ranking_height(section: Section) -> int:
    """The height of the chart of a list, in pixels."""
    return 16 + _BAR_HEIGHT * max(1, min(_BARS, len(section.rows)))


def _tick_format(highest: float) -> str:
    return ",.0f" if highest >= 10 else ",.2f" if highest >= 0.1 else ",.6~f"


def _label(name: str) -> str:
    name = printable(name)
    # Plotly reads some tags and entities in a text, as HTML does.
    return escape(name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…")


def _hover(name: str, sums: Sums, digits: int) -> str:
    name = printable(name)
    shown = escape(name if len(name) <= 60 else name[:59] + "…")
    numbers = f"{count(sums.requests, 'request')}, {count(sums.tokens, 'token')}"
    return f"{shown}<br>{escape(dollars(sums.spend, digits))}<br>{numbers}"


def _number(amount: Decimal) -> float | None:
    return float(amount) if amount.is_finite() else None
