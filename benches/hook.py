"""Row 9: the Python callback, measured on the thread that calls LiteLLM and through one process to a local server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from statistics import median

from . import record
from .report import Line, above, below
from .runs import Plan
from .server import Server

PROGRAM = Path(__file__).with_name("hook_program.py")


def success_events(server: Server, plan: Plan) -> list[Line]:
    server.with_worker()
    runs = [run(server, plan.events) for _ in range(plan.runs)]
    p50, p99, rate = (median(run[name] for run in runs) for name in ("p50", "p99", "per_second"))
    return [
        below(9, "a success event on the caller's thread, p50", p50, 30, "µs"),
        below(9, "its p99", p99, 200, "µs"),
        above(9, "events a second, one process, local server, until committed", rate, 10_000, "/s"),
    ]


def run(server: Server, events: int) -> dict[str, float]:
    record.empty(server)
    server.reset_targets(1000)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "DATABASE_URL": server.database.url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [os.environ["LITELLM_PYTHON"], str(PROGRAM), str(events)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{PROGRAM.name} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
