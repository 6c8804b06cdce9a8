"""`make demo`: a server, the extension, 100 calls of the real LiteLLM SDK, and what Postgres then holds.

Without DEMO_DATABASE_URL it runs on a throwaway server that is gone afterwards; with it, on that
server, where it drops nothing. Usage: demo.py LITELLM_PYTHON [--exit-at-once TIMES]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests"), str(HERE.parent / "scripts")]

from harness.cluster import Cluster  # noqa: E402
from harness.waiting import interrupt_on_sigterm, wait_until  # noqa: E402
from report import print_report, say  # noqa: E402
from target import prepare  # noqa: E402

CALLS = 100
COUNT = 'SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE "user" LIKE %s'


@contextmanager
def server() -> Iterator[str]:
    """The URL of the user's own server, or of a throwaway one."""
    url = os.environ.get("DEMO_DATABASE_URL")
    if url:
        yield url
        return
    say("starting a throwaway Postgres")
    with Cluster() as cluster:
        cluster.create_database("demo")
        yield cluster.url("demo")
        say("stopping the throwaway Postgres and deleting it")


@dataclass(frozen=True)
class Demo:
    """Where the demo runs: a prepared database, whether a worker folds in it, and LiteLLM's interpreter."""

    connection: psycopg.Connection
    url: str
    worker: bool
    litellm_python: str

    def counted(self, users: str) -> int:
        """How many requests of these users are in LiteLLM's log."""
        if not self.worker:
            self.connection.execute("CALL litellm_spend.fold_all()")
        [count] = self.connection.execute(COUNT, (users,)).fetchone()
        return count

    def run(self, script: str, users: str) -> tuple[str, float, int]:
        """Run an SDK script as a user would, until it has exited and its 100 requests are counted.

        Returns what it printed, when the last request was seen in the log, and how many there are.
        """
        before = self.counted(users)
        # The price map ships with LiteLLM; without this the SDK would try to fetch a newer one.
        environment = {**os.environ, "DATABASE_URL": self.url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        process = subprocess.Popen(
            [self.litellm_python, HERE / script], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            wait_until(
                lambda: self.counted(users) - before >= CALLS or process.poll() not in (None, 0),
                deadline=120,
                what=f"{CALLS} requests of {script} to be counted",
                show=lambda _: f"{self.counted(users) - before} counted, exit code {process.poll()}",
            )
            visible = time.time()
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise SystemExit(f"error: demo/{script} failed (exit code {process.returncode}); its output is above")
        return printed, visible, self.counted(users) - before


def run_calls(demo: Demo) -> None:
    say("running demo/sdk_calls.py: 100 concurrent litellm.acompletion calls, 10 users, 2 teams, 3 tags")
    printed, visible, _ = demo.run("sdk_calls.py", "demo-user-%")
    calls = json.loads(printed.splitlines()[-1])
    print_report(demo.connection, calls, max(0.0, visible - calls["returned_at"]))


def run_exit_at_once(demo: Demo, times: int) -> None:
    for _ in range(times):
        started = time.time()
        _, visible, recorded = demo.run("exit_at_once.py", "demo-exit")
        say(f"{recorded} of {CALLS} recorded; all in the log {visible - started:.1f} s after the script's start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("litellm_python")
    parser.add_argument("--exit-at-once", type=int, metavar="TIMES", default=0)
    options = parser.parse_args()
    interrupt_on_sigterm()
    with server() as url, prepare(url) as (connection, worker):
        demo = Demo(connection, url, worker, options.litellm_python)
        if options.exit_at_once:
            run_exit_at_once(demo, options.exit_at_once)
        else:
            run_calls(demo)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing is left running")
