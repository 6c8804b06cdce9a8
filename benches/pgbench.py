"""Runs pgbench over the socket and reads its results."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Any

from harness.postgres import bindir, libdir

from . import document
from .server import Server

CLIENTS = 8


@dataclass(frozen=True)
class Outcome:
    calls_per_second: float
    calls: int


def run(server: Server, statement: str, *, users: int = 1000, **how: Any) -> Outcome:
    """Runs `statement` with a record of one of these users at `{document}`. `how` is passed to `run_script`."""
    script, variables = document.pgbench_script(statement, users)
    return run_script(server, script, variables, **how)


def run_script(
    server: Server,
    script: str,
    variables: dict[str, str] | None = None,
    *,
    seconds: float | None = None,
    calls: int | None = None,
    clients: int = CLIENTS,
    rate: float | None = None,
    settings: str = "",
) -> Outcome:
    """Runs a script, autocommit and prepared, for that many seconds or calls in all. With `rate`, that many calls start
    per second whatever they take (open loop), else one call follows the other. `settings` go into PGOPTIONS."""
    with tempfile.NamedTemporaryFile("w", suffix=".pgbench") as file:
        file.write(script)
        file.flush()
        command = [bindir() / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-f", file.name]
        command += ["-T", str(max(1, round(seconds)))] if seconds else ["-t", str(max(1, (calls or 1) // clients))]
        for name, value in (variables or {}).items():
            command += ["-D", f"{name}={value}"]
        if rate is not None:
            command += ["-R", f"{rate:.3f}"]
        done = subprocess.run(command, env=_environment(server, settings), capture_output=True, text=True)
    if done.returncode != 0 or "failed transactions: 0 " not in done.stdout:
        raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}{done.stdout[-1000:]}")
    return Outcome(_number(r"tps = ([\d.]+)", done.stdout), int(_number(r"processed: (\d+)", done.stdout)))


def _environment(server: Server, settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": str(libdir()),
        "PGHOST": str(server.cluster.directory),
        "PGPORT": str(server.cluster.port),
        "PGUSER": "postgres",
        "PGDATABASE": "bench",
        "PGOPTIONS": settings,
    }


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"pgbench printed no {pattern}: {text}"
    return float(found[1])
