"""Kills processes of a server: any of them at a moment of chance, or the one that reaches a named point."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter

import psycopg

from harness.cluster import Cluster
from harness.waiting import wait_until

POINTS = ("after_log_insert", "before_commit", "after_commit", "before_truncate", "after_truncate", "after_switch")
ANYWHERE = ("backend", "worker", "launcher", "postmaster", "immediate stop")
SETTINGS_FILE = "failpoint.conf"
# The cluster needs these settings. Each fold is small and segments rotate quickly, so points are reached often.
SETTINGS = {
    "include_if_exists": SETTINGS_FILE,
    "max_prepared_transactions": "50",
    "litellm_spend.batch_rows": "200",
    "litellm_spend.fold_rows": "600",
    "litellm_spend.segment_size": "64 kB",
    "litellm_spend.truncate_delay": "0",
    # Each batch has its own entities, so that a sum shows which records it holds.
    "litellm_spend.max_new_entities": "-1",
}
VICTIMS = {
    "backend": "backend_type = 'client backend' AND pid <> pg_backend_pid()",
    "worker": "application_name = 'litellm_spend worker'",
    "launcher": "application_name = 'litellm_spend launcher'",
}


class Killer:
    """Call it from the thread that lives longest, because the server dies with the thread that started it."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self._cluster = cluster
        self._random = chance

    def kill(self, kind: str) -> None:
        """One of ANYWHERE, or one of POINTS."""
        if kind in POINTS:
            self._kill_at(kind)
        elif kind in VICTIMS:
            self._kill_process(kind)
        else:
            self._end_server(kind)

    def _kill_process(self, kind: str) -> None:
        query = f"SELECT pid FROM pg_stat_activity WHERE {VICTIMS[kind]}"

        def kill() -> bool:
            try:
                pids = [pid for (pid,) in self._cluster.query(query)]
                if pids:
                    os.kill(self._random.choice(pids), signal.SIGKILL)
                return bool(pids)
            except (psycopg.OperationalError, ProcessLookupError):
                return False

        before = len(self._cluster.crashes())
        wait_until(kill, deadline=60, what=f"a {kind} to kill")
        wait_until(lambda: len(self._cluster.crashes()) > before, what=f"the killed {kind} to be noticed")
        self.kills[kind] += 1

    def _kill_at(self, point: str) -> None:
        """Half of the time the process kills itself there, half of the time the server dies while it is there."""
        action = self._random.choice(("kill", "pause"))
        before = self._hits(point)
        self._arm(f"{point}:{action}")
        wait_until(lambda: self._hits(point) > before, deadline=90, what=f"the failpoint {point} to be reached")
        self._arm("")
        if action == "pause":
            self._end_server(self._random.choice(("postmaster", "immediate stop")))
        else:
            self.kills["itself"] += 1
        self.points[point] += 1

    def _hits(self, point: str) -> int:
        return self._cluster.log().count(f"litellm_spend failpoint {point} reached")

    def _arm(self, setting: str) -> None:
        (self._cluster.data / SETTINGS_FILE).write_text(f"litellm_spend.failpoint = '{setting}'\n")
        postmaster = int((self._cluster.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGHUP)

    def _end_server(self, kind: str) -> None:
        if kind == "postmaster":
            self._cluster.kill()
        else:
            self._cluster.stop("immediate")
        self.kills[kind] += 1
        self._cluster.start_again()
