"""The figures, one per line, in the table that a run prints and docs/benchmarks.md keeps."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

HEADINGS = ("row", "what", "figure", "ratio", "reach", "verdict")


@dataclass(frozen=True)
class Line:
    """A figure and its bound. `reached` is None if there is no bound to reach."""

    row: int
    what: str
    figure: str
    ratio: float | None = None
    reach: str = ""
    reached: bool | None = None
    gap: str = ""

    def cells(self) -> tuple[str, ...]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = "" if self.reached is None else "reached" if self.reached else self.gap
        return str(self.row), self.what, self.figure, ratio, self.reach, verdict


def at_least(row: int, what: str, figure: str, ratio: float, bound: float) -> Line:
    """A ratio that must not be below `bound`."""
    gap = f"gap: {ratio / bound:.0%} of it"
    return Line(row, what, figure, ratio, f"≥ {bound:g}", ratio >= bound, gap)


def at_most(row: int, what: str, figure: str, ratio: float, bound: float) -> Line:
    """A ratio that must not be above `bound`."""
    gap = f"gap: {ratio / bound - 1:+.0%}"
    return Line(row, what, figure, ratio, f"≤ {bound:g}", ratio <= bound, gap)


def below(row: int, what: str, value: float, bound: float, unit: str) -> Line:
    """A measured value, not a ratio, that must stay under `bound`."""
    gap = f"gap: {value / bound - 1:+.0%}"
    return Line(row, what, f"{value:,.4g} {unit}", None, f"< {bound:g} {unit}", value < bound, gap)


def above(row: int, what: str, value: float, bound: float, unit: str) -> Line:
    """A measured value, not a ratio, that must not fall short of `bound`."""
    gap = f"gap: {value / bound:.0%} of it"
    return Line(row, what, f"{value:,.0f} {unit}", None, f"≥ {bound:,g} {unit}", value >= bound, gap)


def plain(row: int, what: str, figure: str, ratio: float | None = None) -> Line:
    """A figure without a bound."""
    return Line(row, what, figure, ratio)


def markdown(lines: list[Line]) -> str:
    """The table as Markdown."""
    table = Table(*HEADINGS, box=MARKDOWN)
    for line in lines:
        table.add_row(*line.cells())
    console = Console(width=1000, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.strip() for line in capture.get().splitlines() if line.strip())
