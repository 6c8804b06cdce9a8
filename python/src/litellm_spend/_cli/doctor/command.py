"""The doctor's options, its order of checks, and its exit code."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator

from ... import _settings
from ..database import CALLBACKS_VARIABLES, OPTION, Problem, Url
from . import packages, registration, server
from .finding import Finding, problem

SUMMARY = "Check everything that recording needs, one after the other, and say what to do. Nothing is changed."


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(OPTION, metavar="URL", help=f"the database; by default {', then '.join(CALLBACKS_VARIABLES)}")
    parser.add_argument(
        "--import",
        dest="module",
        metavar="MODULE",
        help="import this module of your application in a process of its own, and look at litellm.callbacks",
    )


def run(options: argparse.Namespace) -> int:
    """Prints a line for each check. Returns 1 if something is wrong, else 0."""
    counted: Counter[str] = Counter()
    for finding in _check(options.database_url, options.module):
        print(finding, flush=True)
        counted[finding.state] += 1
    problems, unknowns = counted["problem"], counted["unknown"]
    print()
    print("No problem found." if not problems else "1 problem." if problems == 1 else f"{problems} problems.", end="")
    print(f" Unknown: {unknowns}." if unknowns else "")
    return 1 if problems else 0


def _check(option: str | None, module: str | None) -> Iterator[Finding]:
    yield packages.check_litellm()
    yield packages.check_psycopg()
    registered = registration.look(module)
    yield registered.finding
    # A module may read its variables from a file.
    os.environ.update(registered.variables)
    if not _settings.read({}).enabled:
        switch = _settings.variable("enabled")
        yield problem("options", f"{switch} is off, so nothing is recorded: remove it, or set it to on")
    try:
        url = registered.url if registered.url and not option else Url.find(option, CALLBACKS_VARIABLES)
        destination = url.destination()
    except Problem as error:
        yield problem("database URL", str(error))
        return
    yield from server.check(url, destination)
