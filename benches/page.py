"""docs/benchmarks.md: the table with the machine, the versions, the settings and the commands."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import versions
from harness.litellm_schema import NEWEST
from harness.postgres import PROJECT

from . import instructions
from .report import Line, markdown
from .runs import Plan
from .server import SETTINGS, Server

PAGE = PROJECT / "docs" / "benchmarks.md"


def write(server: Server, plan: Plan, lines: list[Line], command: str) -> Path:
    settings = "\n".join(f"{name} = {value}" for name, value in SETTINGS.items())
    PAGE.write_text(
        f"""# Benchmarks

`{command}` made this page. Of two figures in one cell the first is this extension's and the second its peer's, which
ran in the same run on the same server, in turn with it; each is a median of {plan.runs} runs. Compare ratios: rates
are this machine's.

{markdown(lines)}

{functions()}## Where

| | |
|---|---|
| machine | {cores()} cores of {processor()}, {memory()} GB, {platform.system()} {platform.release()} |
| disk | {file_system(server.cluster.directory)} |
| Postgres | {server.version()}, all else at its default |
| extension | release build, Rust {output("rustc", "--version").removeprefix("rustc ")} |
| schema | LiteLLM's own migrations ({NEWEST.litellm}), all its indexes |

```
{settings}
```

## How

- A record is one `StandardLoggingPayload` of 1.3 kB as the callback sends it, with a user, a key, a team, a tag and
  token details (`benches/document.py`); each has ids of its own.
- Before each run the tables of its side are emptied, the entities made anew and a checkpoint is done; none falls into
  a run.
- Row 1: pgbench, 8 clients, `-M prepared`, autocommit, over the socket; both sides put the document together from the
  same parameters. WAL is the difference of `pg_current_wal_insert_lsn()`, from a checkpoint on.
- Row 2: psycopg, a prepared call with an array as text, and `COPY … FROM STDIN` in text.
- Row 3: the staged rows are in transactions of 500 records, of 1,000 users with ten models each, in no order: 10,000
  rows in each of the three daily tables that they touch. `benches/sql/pure_sql_fold.sql` folds the same rows; the
  totals of all targets are compared after each. The extension keeps its ledger of counted requests in all of these
  lines: no setting turns it off where SpendLogs is not written, for a repeated request would count twice.
- Row 4: the peer inserts the log rows that the fold wrote, from a table, in the same order. The waits are those of an
  `UPDATE` of one user's row, again and again, beside the worker; each includes its own commit.
- Row 5: `benches/sql/upsert_each_call.sql`, one statement a call. The time of this extension's side ends when all is
  folded.
- Row 6: `pgbench -R`. The lag of a record is the time from its commit to that of its fold, both by
  `track_commit_timestamp`, and of every record.
- Row 8: `RssAnon` in `/proc/PID/status` of the worker, read each 20 ms.
- Row 9: a real event of LiteLLM {versions.LITELLM[-1]}, repeated with other ids; first one each half millisecond,
  then as fast as it goes until all are committed.
- Row 10: callgrind, the backend in single-user mode, preloaded for the records. The folded rows are 2,000, nearly
  each of which has daily rows of its own.

`make bench ROWS=1,3` runs some rows, `make bench-scale` the long forms of rows 7 and 8.
"""
    )
    return PAGE


def functions() -> str:
    """Where the instructions go, if row 10 was measured."""
    sections = []
    for name, top in instructions.top_functions().items():
        lines = "\n".join(top)
        sections.append(f"Instructions of a {name}, the functions that ran most themselves:\n\n```\n{lines}\n```\n\n")
    return "".join(sections)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def cores() -> str:
    return output("nproc")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def memory() -> int:
    [total] = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")]
    return round(int(total.split()[1]) / 2**20)


def file_system(folder: Path) -> str:
    return output("findmnt", "-n", "-o", "FSTYPE", "-T", str(folder))
