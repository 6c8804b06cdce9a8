"""The report in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text import count, digits_for, dollars, printable, share
from .spend import Report, Sums

# A pipe has no width of its own.
_WIDTH_OF_A_PIPE = 100


def show(report: Report, database: str) -> None:
    """Prints the report to stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_A_PIPE)
    total = report.total
    amount = dollars(total.spend, digits_for(total.spend))
    console.print(Text(f"Spend of {report.period}", style="bold"))
    console.print(Text(f"Database {printable(database)}", style="dim"))
    console.print()
    console.print(
        Text.assemble((amount, "bold"), f"   {count(total.requests, 'request')}   {count(total.tokens, 'token')}")
    )
    console.print()
    if report.days is not None:
        console.print(_table("Days", "day", report.days, total, has_shares=True))
    for section in report.sections:
        rows = list(section.rows)
        if section.others:
            rows.append((count(section.others, "other"), section.rest))
        column = section.title.lower().removesuffix("s")
        console.print(_table(section.title, column, rows, total, has_shares=section.is_part_of_total))
    for note in report.notes:
        console.print(Text(note, style="dim"))


def _table(title: str, column: str, rows: list[tuple[str, Sums]], total: Sums, *, has_shares: bool) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(column, overflow="fold", min_width=24)
    for name in ("spend", "share", "requests", "tokens") if has_shares else ("spend", "requests", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    digits = digits_for(total.spend)
    for name, sums in rows:
        numbers = [dollars(sums.spend, digits), count(sums.requests), count(sums.tokens)]
        if has_shares:
            numbers.insert(1, share(sums.spend, total.spend))
        # A Text is shown as it is: a name cannot hold markup or a terminal's codes.
        table.add_row(Text(printable(name)), *numbers)
    if not rows:
        table.add_row(Text("none", style="dim"))
    return table
