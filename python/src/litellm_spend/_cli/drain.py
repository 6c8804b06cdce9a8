"""`litellm-spend drain`: sends what processes that are gone left in a spool."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from .._delivery.outbox import Outbox
from .._delivery.sender import Sender
from .._delivery.spool import Spool
from .._delivery.spool_directory import SpoolDirectory, SpoolUnusable

SUMMARY = "send what processes that are gone left in a spool"
_BATCH = 500
_PAUSE_SECONDS = 1.0
_MEGABYTE = 1_000_000


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spool-dir", help="the spool; if not given, the variable LITELLM_SPEND_SPOOL_DIR")
    parser.add_argument("--database-url", help="the database; if not given, as for SpendLogger")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="the longest wait for a server (default: 60)"
    )


def run(options: argparse.Namespace) -> int:
    """Prints what was sent and what is left. Returns 0 unless the server or a file stopped it."""
    _print_log()
    path = options.spool_dir or os.environ.get("LITELLM_SPEND_SPOOL_DIR")
    if not path:
        print("no spool: name one with --spool-dir, or set LITELLM_SPEND_SPOOL_DIR", file=sys.stderr)
        return 1
    directory = SpoolDirectory(path, 1024 * _MEGABYTE)
    try:
        directory.check()
    except SpoolUnusable as error:
        print(f"the spool cannot be read: {error}", file=sys.stderr)
        return 1
    outbox = Outbox(max_queue=1, batch_size=_BATCH)
    sender = Sender(options.database_url, outbox, flush_interval=0)
    outbox.spool = Spool(directory, sender.connection.destination, has_before_send=False)
    error = _send(sender, time.monotonic() + options.timeout)
    outbox.spool.release()
    sender.connection.close()
    stats = outbox.stats()
    print(f"sent: {stats.recovered}, set aside: {stats.set_aside}, refused: {stats.refused}")
    if left := directory.files():
        print(f"files left: {len(left)}, of running processes or for the reasons above")
    if error:
        print(f"stopped: {error}", file=sys.stderr)
    return 1 if error else 0


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
