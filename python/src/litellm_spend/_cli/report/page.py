"""The report as one page that needs no network: its style, its numbers and the charting library are in it.

The page's policy lets the browser run these scripts alone, by their hashes, and fetch nothing at all. So a text of the
database could not run even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timezone
from html import escape
from importlib import resources

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from ..text import count, digits_for, dollars, printable, share
from . import charts
from .spend import Report, Section, Sums


def render(report: Report, database: str) -> str:
    """The whole page."""
    library, starter = _script(get_plotlyjs()), _script(_file("page.js"))
    digits = digits_for(report.total.spend)
    figures: dict[str, object] = {}
    parts = [_head(report, database), _totals(report, digits)]
    if report.days is not None:
        figures["days"] = charts.days(report.days, digits)
        parts.append(f'<section class="wide"><h2>Spend per day</h2>{_chart("days", charts.DAYS_HEIGHT)}</section>')
    parts.append('<div class="lists">')
    for number, section in enumerate(report.sections):
        name = f"list-{number}"
        figures[name] = charts.ranking(section, digits)
        parts.append(_section(section, report.total, digits, name))
    parts.append("</div>")
    parts.append("<footer>" + "".join(f"<p>{_text(note)}</p>" for note in report.notes) + "</footer>")
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(starter)}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>LLM spend, {escape(str(report.period))}</title>
<style>{_file("page.css")}</style>
</head>
<body>
<main>
{chr(10).join(parts)}
</main>
<script type="application/json" id="figures">{_json(figures)}</script>
<script>{library}</script>
<script>{starter}</script>
</body>
</html>
"""


def _head(report: Report, database: str) -> str:
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<header><h1>LLM spend</h1><p>{escape(str(report.period))}</p>"
        f'<p class="quiet">{_text(database)} · read {made}</p></header>'
    )


def _totals(report: Report, digits: int) -> str:
    total = report.total
    figures = (
        ("Spend", dollars(total.spend, digits)),
        ("Requests", count(total.requests)),
        ("Tokens", count(total.tokens)),
    )
    return (
        '<dl class="totals">'
        + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
        + "</dl>"
    )


def _section(section: Section, total: Sums, digits: int, chart: str) -> str:
    rows = [_row(name, sums, section, total, digits) for name, sums in section.rows]
    if section.others:
        rows.append(_row(count(section.others, "other"), section.rest, section, total, digits))
    if not rows:
        return f"<section><h2>{section.title}</h2><p class='quiet'>None in this period.</p></section>"
    heads = ("spend", "share", "requests", "tokens") if section.is_part_of_total else ("spend", "requests", "tokens")
    numbers = "".join(f'<th class="{head}">{head}</th>' for head in heads)
    return (
        f"<section><h2>{section.title}</h2>{_chart(chart, charts.ranking_height(section))}"
        f"<table><thead><tr><th>{section.title.lower().removesuffix('s')}</th>{numbers}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _row(name: str, sums: Sums, section: Section, total: Sums, digits: int) -> str:
    cells = f"<td>{_text(name)}</td><td>{escape(dollars(sums.spend, digits))}</td>"
    if section.is_part_of_total:
        cells += f'<td class="share">{share(sums.spend, total.spend)}</td>'
    return f"<tr>{cells}<td>{count(sums.requests)}</td><td>{count(sums.tokens)}</td></tr>"


def _chart(name: str, height: int) -> str:
    # The height is reserved before the chart is drawn, so that nothing moves.
    return f'<div class="chart" id="{name}" style="height:{height}px"></div>'


def _text(text: str) -> str:
    return escape(printable(text))


def _json(value: object) -> str:
    # Inside a script element only "<" could end the element.
    return json.dumps(value).replace("<", "\\u003c")


def _script(text: str) -> str:
    """A script as the browser's parser reads it, because its hash is taken of that."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
