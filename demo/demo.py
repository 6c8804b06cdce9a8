"""`make demo`: a server, the extension, 100 calls of the real LiteLLM SDK, and what Postgres then holds.

Without DEMO_DATABASE_URL it runs on a throwaway server that is gone afterwards; with it, on that
server, where it drops nothing. Usage: demo.py LITELLM_PYTHON [--exit-at-once TIMES]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from report import print_report, say  # noqa: E402

from harness.cluster import Cluster  # noqa: E402
from harness.waiting import wait_until  # noqa: E402
from target import prepare  # noqa: E402

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


def run_script(python: str, script: str, url: str) -> str:
    """Run one of the demo's SDK scripts in LiteLLM's environment, as a user would."""
    # The price map ships with LiteLLM; without this the SDK would try to fetch a newer one.
    environment = {**os.environ, "DATABASE_URL": url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run([python, HERE / script], env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"error: demo/{script} failed (exit code {done.returncode}); its output is above")
    return done.stdout


def wait_counted(connection: psycopg.Connection, users: str, expected: int, worker: bool) -> float:
    """Wait until the log holds `expected` requests of these users; the time it was seen."""

    def counted() -> bool:
        if not worker:
            connection.execute("SELECT litellm_spend.fold()")
        return connection.execute(COUNT, (users,)).fetchone() >= (expected,)

    wait_until(counted, deadline=60, what=f"{expected} requests to be counted")
    return time.time()


def run_calls(connection: psycopg.Connection, python: str, url: str, worker: bool) -> None:
    [before] = connection.execute(COUNT, ("demo-user-%",)).fetchone()
    say("running demo/sdk_calls.py: 100 concurrent litellm.acompletion calls, 10 users, 2 teams, 3 tags")
    *_, last = run_script(python, "sdk_calls.py", url).splitlines()
    calls = json.loads(last)
    visible = wait_counted(connection, "demo-user-%", before + calls["calls"], worker)
    print_report(connection, calls, max(0.0, visible - calls["returned_at"]))


def run_exit_at_once(connection: psycopg.Connection, python: str, url: str, worker: bool, times: int) -> None:
    for _ in range(times):
        [before] = connection.execute(COUNT, ("demo-exit",)).fetchone()
        started = time.time()
        run_script(python, "exit_at_once.py", url)
        seconds = time.time() - started
        visible = wait_counted(connection, "demo-exit", before + 100, worker)
        [after] = connection.execute(COUNT, ("demo-exit",)).fetchone()
        say(f"{after - before} of 100 recorded; the script ran {seconds:.1f} s, counted {visible - started:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("litellm_python")
    parser.add_argument("--exit-at-once", type=int, metavar="TIMES", default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with server() as url, prepare(url) as (connection, worker):
        if options.exit_at_once:
            run_exit_at_once(connection, options.litellm_python, url, worker, options.exit_at_once)
        else:
            run_calls(connection, options.litellm_python, url, worker)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing is left running")
