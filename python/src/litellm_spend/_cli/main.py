"""The table of sub-commands, and the program that runs one of them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import __version__
from . import drain
from .doctor import command as doctor
from .report import command as report


@dataclass(frozen=True)
class Command:
    """A sub-command: what it is for, its options, and the function that runs it and returns the exit code."""

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "doctor": Command(doctor.SUMMARY, doctor.add_options, doctor.run),
    "drain": Command(drain.SUMMARY, drain.add_options, drain.run),
    "report": Command(report.SUMMARY, report.add_options, report.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the sub-command that the arguments name, and returns the exit code of the program."""
    parser = argparse.ArgumentParser(prog="litellm-spend", description="Checks and reads what litellm_spend records.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        options = commands.add_parser(name, help=command.summary, description=command.summary)
        command.add_options(options)
        options.set_defaults(run=command.run)
    chosen = parser.parse_args(arguments)
    # The commands print what the package would log, so nothing of it may reach Python's handler of last resort.
    logging.getLogger("litellm_spend").addHandler(logging.NullHandler())
    try:
        return int(chosen.run(chosen))
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. Python would fail again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
