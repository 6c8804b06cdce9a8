"""Servers and applications that die under load: each captured record is counted once."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sdk.driving import Sdk

from conftest import Tell, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.interpreter import Interpreter
from harness.program import Program

PROGRAM = Path(__file__).with_name("event_stream.py")
BACKEND = "SELECT pid FROM pg_stat_activity WHERE application_name = 'litellm_spend' AND datname = %s"


class Load:
    """Runs one application after the other on one spool."""

    def __init__(self, interpreter: Interpreter, database: Database, folder: Path, rate: int) -> None:
        self.spool = folder / "spool"
        self._interpreter, self._url = interpreter, database.url
        self._journal = folder / "journal"
        self._arguments = (str(self.spool), str(rate), str(self._journal))
        self.start()

    def start(self) -> None:
        self._running = self._interpreter.start(PROGRAM, *self._arguments, url=self._url)
        self._program: Program = self._running.__enter__()
        self._pid = int(json.loads(self._program.stdout.readline())["pid"])

    def end(self, by: int | None = None) -> None:
        """Ends the application by a signal, or as it ends by itself."""
        if by is None:
            self._program.stdin.close()
        else:
            os.kill(self._pid, by)
        assert self._program.wait(60) == (0 if by is None else -by), self._program.log()
        assert " lost " not in self._program.log()
        self._running.__exit__(None, None, None)

    def replace(self, by: int) -> None:
        self.end(by)
        self.start()

    def drain(self) -> str:
        """Runs `litellm-spend drain`."""
        return self._interpreter.run(PROGRAM, url=self._url, code=DRAIN.format(str(self.spool))).stdout

    def captured(self) -> dict[str, float]:
        """{the id of an event: how long its hook took}"""
        lines = (line.split() for line in self._journal.read_text().splitlines())
        return {id_: float(seconds) for id_, seconds in lines}


DRAIN = """
import sys
from litellm_spend._cli.main import main
sys.exit(main(["drain", "--spool-dir", {!r}]))
"""


def freeze_for_a_while(database: Database) -> None:
    pids = [pid for (pid,) in database.cluster.query(BACKEND, (database.name,))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def restart(database: Database) -> None:
    database.close()
    database.cluster.kill()
    time.sleep(random.uniform(0, 1))
    database.cluster.start()


def run_chaos(database: Database, load: Load, tell: Tell, rate: int, deeds: list[str]) -> None:
    """Each captured event is counted once. A killed application may have captured one more than its journal says."""
    seed = random.randrange(10**6)
    random.seed(seed)
    random.shuffle(deeds)
    doing: dict[str, Callable[[], None]] = {
        "restart": lambda: restart(database),
        "freeze": lambda: freeze_for_a_while(database),
        "SIGKILL": lambda: load.replace(signal.SIGKILL),
        "SIGTERM": lambda: load.replace(signal.SIGTERM),
    }
    for deed in deeds:
        time.sleep(random.uniform(0.3, 1))
        doing[deed]()
    load.end()
    drained = load.drain()
    database.wait_folded("120 s")
    captured = load.captured()
    microseconds = sorted(seconds * 1e6 for seconds in captured.values())
    counted = {id_ for (id_,) in database.query('SELECT request_id FROM "LiteLLM_SpendLogs"')}
    total = database.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"')
    duplicates = database.status()["duplicates"]
    count = len(captured)
    tell(
        "the client under chaos",
        f"seed {seed}, {rate} events/s, {len(deeds)} deeds ({', '.join(deeds)}):",
        f"captured {count}, counted {len(counted)}, lost {len(set(captured) - counted)}, sent again {duplicates}",
        f"the hook: p50 {microseconds[count // 2]:.0f} us, p99 {microseconds[count * 99 // 100]:.0f} us",
        drained.strip(),
    )
    assert set(captured) - counted == set(), f"lost, with the seed {seed}"
    assert len(counted - set(captured)) <= deeds.count("SIGKILL") + deeds.count("SIGTERM")
    assert total == len(counted), f"counted twice, with the seed {seed}"
    assert list(load.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("rate", "deeds"),
    [
        (100, ["restart", "freeze", "SIGKILL", "SIGTERM"]),
        pytest.param(
            500,
            ["restart"] * 10 + ["freeze"] * 2 + ["SIGKILL"] * 5 + ["SIGTERM"] * 5,
            marks=[pytest.mark.stress, pytest.mark.timeout(600)],
        ),
    ],
)
def test_what_is_captured_counts_once_whoever_dies(
    own_cluster: Cluster, newest: Sdk, tmp_path: Path, tell: Tell, rate: int, deeds: list[str]
) -> None:
    database = new_database(own_cluster)
    run_chaos(database, Load(newest.interpreter, database, tmp_path, rate), tell, rate, deeds)
