"""`litellm-spend drain`: sends what processes that are gone left in a spool."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from .. import _settings
from .._delivery.sender import Sender
from .._delivery.set_up import set_up
from .._delivery.spool_directory import SpoolUnusable

SUMMARY = "send what processes that are gone left in a spool"
_PAUSE_SECONDS = 1.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spool-dir", help="the spool; if not given, the variable LITELLM_SPEND_SPOOL_DIR")
    parser.add_argument("--database-url", help="the database; if not given, as for SpendLogger")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="the longest wait for a server (default: 60)"
    )


def run(options: argparse.Namespace) -> int:
    """Prints what was sent and what is left. Returns 0 unless the server or a file stopped it."""
    _print_log()
    sender = set_up(_settings.read({"database_url": options.database_url, "spool_dir": options.spool_dir}), None)
    outbox, spool = sender.outbox, sender.outbox.spool
    if spool is None:
        print("no spool: name one with --spool-dir, or set LITELLM_SPEND_SPOOL_DIR", file=sys.stderr)
        return 1
    try:
        spool.directory.check()
    except SpoolUnusable as error:
        print(f"the spool cannot be read: {error}", file=sys.stderr)
        return 1
    stopped_by = _send(sender, time.monotonic() + options.timeout)
    spool.release()
    sender.connection.close()
    stats = outbox.stats()
    print(f"sent: {stats.recovered}, set aside: {stats.set_aside}, refused: {stats.refused}")
    if left := spool.directory.files():
        print(f"files left: {len(left)}, of running processes or for the reasons above")
    if stopped_by:
        print(f"stopped: {stopped_by}", file=sys.stderr)
    return 1 if stopped_by or spool.broken else 0


def _send(sender: Sender, deadline: float) -> str | None:
    """Sends all that can be sent. Returns the error that stopped it."""
    while True:
        if sender.send_left_batch():
            continue
        error = sender.outbox.stats().last_error
        if error is None or sender.is_misconfigured or time.monotonic() > deadline:
            return error
        time.sleep(_PAUSE_SECONDS)


def _print_log() -> None:
    """Prints the lines of the package's logger."""
    log = logging.getLogger("litellm_spend")
    log.setLevel(logging.INFO)
    log.addHandler(handler := logging.StreamHandler())
    handler.setFormatter(logging.Formatter("%(message)s"))
