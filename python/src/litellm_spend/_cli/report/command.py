"""The report's options, where it finds its database, and where it shows the spend."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..database import CALLBACKS_VARIABLES, OPTION, Problem, Server, Url, shown
from ..text import printable
from .period import Period
from .spend import DIMENSIONS, read

SUMMARY = "Show the spend of a period by day, user, team, tag and model, from LiteLLM's daily tables."
VARIABLES = ("LITELLM_SPEND_REPORT_URL", *CALLBACKS_VARIABLES)
_INSTALL = "run pip install 'litellm_spend[report]'"


def add_options(parser: argparse.ArgumentParser) -> None:
    names = ",".join(("day", *DIMENSIONS))
    parser.add_argument(
        "--since", metavar="WHEN", default="7d", help="7d, 4w or a day such as 2026-03-01, in UTC; 7d if not given"
    )
    parser.add_argument("--by", metavar="LIST", default=names, help=f"what to show, of {names}; all if not given")
    parser.add_argument("--top", metavar="N", type=int, default=15, help="rows of a list; 15 if not given")
    parser.add_argument(OPTION, metavar="URL", help=f"the database; by default {', then '.join(VARIABLES)}")
    parser.add_argument("--html", metavar="FILE", help="write one page with charts, which needs no network, instead")


def run(options: argparse.Namespace) -> int:
    """Prints the report or writes the page. Returns 1, with a sentence on stderr, if it cannot."""
    try:
        return _run(options)
    except Problem as error:
        print(f"litellm-spend report: {printable(str(error))}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    chosen = _chosen(options.by)
    period = Period.since(options.since)
    if options.top < 1:
        raise Problem("--top must be at least 1")
    try:
        # Loaded before the database is asked, because without them there is nothing to show it with.
        if options.html:
            from . import page
        else:
            from . import terminal
    except ImportError as error:
        raise Problem(f"{(error.name or 'a package').partition('.')[0]} is not installed: {_INSTALL}") from None
    try:
        url = Url.find(options.database_url, VARIABLES)
        destination = url.destination()
    except Problem as error:
        raise Problem(f"the database URL: {error}") from None
    server = Server(url, seconds=60)
    try:
        report = read(server, period, chosen, options.top, destination.schema)
    finally:
        server.close()
    if not options.html:
        terminal.show(report, shown(destination))
        return 0
    text = page.render(report, shown(destination))
    try:
        Path(options.html).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"{options.html} cannot be written ({error.strerror}): name another file") from None
    print(f"{options.html} is written: {len(text.encode()) / 1e6:.1f} MB, open it in a browser")
    return 0


def _chosen(text: str) -> tuple[str, ...]:
    known = ("day", *DIMENSIONS)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise Problem(f"--by knows no {', '.join(wrong) or 'empty list'}: use {', '.join(known)}")
    return names
