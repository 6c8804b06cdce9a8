"""Row 10: instructions, which a busy machine does not change. callgrind counts them in a backend in single-user mode.

The instructions of a record are the difference between runs with two numbers of calls, so the start of the process
does not count. The instructions of a fold are those within fold().
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from harness.postgres import PROJECT, bindir, server_user

from . import document, record
from .report import Line, plain
from .runs import Plan
from .server import Server

FEW, MANY = 100, 600
ROWS = 2_000
FOLD = "fold_wrapper"
# Leaves out the reading of lines, on which single-user mode spends most of its time.
STATEMENT = "exec_simple_query"
TOP = 10
LOGS = PROJECT / ".build" / "log"


def counted(server: Server, plan: Plan) -> list[Line]:
    missing = [name for name in ("valgrind", "callgrind_annotate") if shutil.which(name) is None]
    if missing:
        reason = f"not measured: {missing[0]} is not installed"
        return [plain(10, "instructions of a record and of a folded row", reason)]
    server.without_worker()
    record.empty(server)
    server.forget_staged()
    server.reset_targets(1000)
    stop(server)
    ours = of_calls(server, "record", "SELECT litellm_record_spend($1::jsonb)")
    bare = of_calls(server, "bare-insert", "INSERT INTO bench.bare (payload) VALUES ($1::jsonb)")
    lines = [plain(10, "instructions of a record; of a bare insert", f"{ours:,.0f}; {bare:,.0f}", ours / bare)]
    for logs in ("on", "off"):
        server.cluster.start()
        server.forget_staged()
        server.reset_targets(1000)
        server.database.query("SELECT bench.stage(0, %s, 1000, 10)", ROWS - 1)
        stop(server)
        statements = [
            "LOAD 'litellm_spend'",
            f"SET litellm_spend.write_spend_logs = {logs}",
            "SELECT litellm_spend.fold()",
        ]
        instructions = run(server, f"fold-logs-{logs}", statements, f"--toggle-collect={FOLD}")
        figure = f"{instructions / ROWS:,.0f}"
        lines.append(plain(10, f"instructions of a folded row, SpendLogs {logs}", figure))
    server.cluster.start()
    return lines


def stop(server: Server) -> None:
    server.database.close()
    server.cluster.stop()


def of_calls(server: Server, name: str, statement: str) -> float:
    """Instructions of one call with a record, in a transaction of its own."""
    totals = []
    for calls in (FEW, MANY):
        texts = [document.text(calls * 1000 + n, document.FIRST_USER + n, n % 10) for n in range(calls)]
        statements = [f"PREPARE call (text) AS {statement}", *(f"EXECUTE call ('{text}')" for text in texts)]
        totals.append(run(server, f"{name}-{calls}", statements, f"--toggle-collect={STATEMENT}", preloaded=True))
    return (totals[1] - totals[0]) / (MANY - FEW)


def run(server: Server, name: str, statements: list[str], *options: str, preloaded: bool = False) -> int:
    """The instructions of statements, one per line, in a backend of their own under callgrind. Keeps the profile."""
    output = server.cluster.directory / f"callgrind-{name}"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", *options]
    command += [str(bindir() / "postgres"), "--single", "-D", str(server.cluster.data)]
    command += ["-c", f"shared_preload_libraries={'litellm_spend' if preloaded else ''}", "bench"]
    done = subprocess.run(
        command,
        input="".join(f"{statement}\n" for statement in statements),
        cwd=server.cluster.directory,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        **server_user().popen_arguments(),
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None or "ERROR:" in done.stderr:
        raise RuntimeError(f"callgrind of {name} failed: {done.stderr[-2000:]}")
    shutil.copy(output, LOGS)
    return int(found[1])


def top_functions() -> dict[str, list[str]]:
    """The functions that ran most instructions themselves, in the last profile of a record and of a fold."""
    files = {"record": LOGS / f"callgrind-record-{MANY}", "fold": LOGS / "callgrind-fold-logs-on"}
    return {name: top(file) for name, file in files.items() if file.exists()}


def top(file: Path) -> list[str]:
    printed = subprocess.run(["callgrind_annotate", str(file)], capture_output=True, text=True).stdout
    found = re.findall(r"^ *[\d,]+ \( *([\d.]+%)\)  \S*?:(\S.*?) \[(?:.*/)?(.*)\]$", printed, flags=re.MULTILINE)
    return [f"{share} {function} ({library})" for share, function, library in found[:TOP]]
