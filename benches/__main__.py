"""Measures the rows that the command line names and prints one table. See `python -m benches --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from harness.waiting import interrupt_on_sigterm

from . import end_to_end, fold, hook, instructions, memory, page, record
from .report import Line, markdown
from .runs import FULL, QUICK, SCALE, Plan
from .server import Server

ROWS: dict[int, list[Callable[[Server, Plan], list[Line]]]] = {
    1: [record.single_calls],
    2: [record.batches],
    3: [fold.against_sql],
    4: [fold.against_insert, fold.beside_a_writer],
    5: [end_to_end.single_calls, end_to_end.batches],
    6: [end_to_end.open_loop],
    7: [fold.by_daily_keys],
    8: [memory.backlogs],
    9: [hook.success_events],
    10: [instructions.counted],
}
AT_SCALE = {7: [fold.beside_a_large_log], 8: [memory.backlogs]}


def main() -> None:
    interrupt_on_sigterm()
    arguments = parse()
    measures = AT_SCALE if arguments.scale else ROWS
    plan = QUICK if arguments.quick else SCALE if arguments.scale else FULL
    rows = [row for row in arguments.rows or measures if row in measures]
    lines: list[Line] = []
    with Server() as server:
        for row in rows:
            for measure in measures[row]:
                started = time.monotonic()
                measured = measure(server, plan)
                lines += measured
                print(f"row {row}: {time.monotonic() - started:.0f} s", file=sys.stderr)
                for line in measured:
                    print("  " + " | ".join(line.cells()), file=sys.stderr)
        print(markdown(lines))
        if rows == list(ROWS) and plan is FULL:
            print(f"written to {page.write(server, plan, lines, 'make bench')}", file=sys.stderr)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--rows", type=numbers, help="which rows, such as 1,3 (all by default)")
    parser.add_argument("--quick", action="store_true", help="small and once: to see that it works")
    parser.add_argument("--scale", action="store_true", help="the long forms of the rows whose subject is size")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    rows = [int(number) for number in text.split(",")]
    if unknown := set(rows) - set(ROWS):
        raise argparse.ArgumentTypeError(f"there is no row {sorted(unknown)}: there are {sorted(ROWS)}")
    return rows


if __name__ == "__main__":
    main()
