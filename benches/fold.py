"""Rows 3, 4 and 7: the cost of a fold, against plain SQL that does the same job and against the log rows it writes."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from statistics import median

from harness.database import Database

from . import record
from .report import Line, at_least, at_most, plain
from .runs import Plan, interleaved, seconds_of
from .server import SQL, Server

PER_CALL = 500
MODELS = 10
UPDATE_A_USER = """UPDATE "LiteLLM_UserTable" SET spend = spend WHERE user_id = 'user-1000'"""
# How many rows SQL counts in a transaction, if it does not count all in one.
BATCH = 5_000


def stage(server: Server, rows: int, users: int, *, first: int = 0) -> None:
    """Empty staging, then stage `rows` records in calls of 500, in no order. Their numbers start at `first`; each user
    uses ten models."""
    server.forget_staged()
    stage_calls(server, rows, users, first=first)
    server.database.execute("ANALYZE litellm_spend.staging_0")


def stage_calls(server: Server, rows: int, users: int, *, first: int = 0) -> None:
    with server.connect() as connection:
        for start in range(first, first + rows, PER_CALL):
            last = min(start + PER_CALL, first + rows) - 1
            connection.execute("SELECT bench.stage(%s, %s, %s, %s)", (start, last, users, MODELS))


def fold(server: Server, users: int, expected: int, settings: dict[str, str]) -> float:
    """Seconds that calls of fold() take to count all staged rows, with targets as before any fold."""
    server.unfold(users)
    return timed_fold(server, expected, settings)


def timed_fold(server: Server, expected: int, settings: dict[str, str]) -> float:
    """Seconds that calls of fold() take to count all staged rows, in a session of their own with these settings."""
    with server.connect() as connection:
        connection.execute("LOAD 'litellm_spend'")
        for name, value in settings.items():
            connection.execute(f"SET {name} = '{value}'")
        folded = 0

        def run() -> None:
            nonlocal folded
            # litellm_spend.fold_all() does the same, but does not tell how many rows it counted.
            while (rows := connection.execute("SELECT litellm_spend.fold()").fetchall()) != [(0,)]:
                folded += rows[0][0]

        seconds = seconds_of(run)
    assert folded == expected, f"{folded} of {expected} staged rows were folded"
    return seconds


def against_sql(server: Server, plan: Plan) -> list[Line]:
    """Row 3."""
    users = 1000
    server.without_worker()
    stage(server, plan.rows, users)
    settings = {"litellm_spend.write_spend_logs": "off"}
    found: dict[str, list[tuple]] = {}

    def ours() -> float:
        seconds = fold(server, users, plan.rows, settings)
        found["ours"] = totals(server)
        return seconds

    def sql(batch: int, *, with_ledger: bool) -> float:
        server.unfold(users)
        seconds = sql_fold(server, batch, with_ledger=with_ledger)
        found[f"SQL of {batch}, ledger {with_ledger}"] = totals(server)
        return seconds

    mine, batches, at_once, without_ledger = interleaved(
        plan.runs,
        ours,
        lambda: sql(BATCH, with_ledger=True),
        lambda: sql(plan.rows, with_ledger=True),
        lambda: sql(plan.rows, with_ledger=False),
    )
    assert len(set(map(str, found.values()))) == 1, f"the folds differ: {found}"
    # A fold always remembers what it has counted, because a repetition would count twice. SQL does so only if asked to.
    against = [
        (f"with an id ledger too, {BATCH:,} rows a transaction", batches, 3),
        ("with an id ledger too, all in one transaction", at_once, 3),
        ("that has no id ledger, all in one transaction", without_ledger, 5),
    ]
    what = f"fold of {plan.rows:,} rows, SpendLogs off; SQL"
    return [at_least(3, f"{what} {how}", f"{mine:.2f} s; {s:.2f} s", s / mine, bound) for how, s, bound in against]


def totals(server: Server) -> list[tuple]:
    """The rows and sums that must be equal, whoever folded."""
    return sorted(server.database.query((SQL / "totals.sql").read_text()), key=str)


def sql_fold(server: Server, batch: int, *, with_ledger: bool) -> float:
    """Seconds that sql/pure_sql_fold.sql takes to count all staged rows, with this many rows per transaction."""
    script = (SQL / "pure_sql_fold.sql").read_text()
    script = re.sub(rf"^/\*{'NO LEDGER' if with_ledger else 'LEDGER'}\*/.*\n", "", script, flags=re.MULTILINE)
    xids = [int(xid) for (xid,) in server.database.query("SELECT DISTINCT xid::text FROM litellm_spend.staging")]
    xids.sort()
    step = max(1, batch // PER_CALL)
    bounds = [*xids[::step], xids[-1] + 1]
    with server.connect() as connection:

        def run() -> None:
            for first, last in itertools.pairwise(bounds):
                connection.execute(f"SET bench.first = '{first}'; SET bench.last = '{last}'")
                connection.execute(script)

        return seconds_of(run)


def against_insert(server: Server, plan: Plan) -> list[Line]:
    """Row 4."""
    users = 1000
    server.without_worker()
    stage(server, plan.rows, users)
    fold(server, users, plan.rows, {})
    copy_log(server.database)
    folded, inserted = interleaved(
        plan.runs, lambda: fold(server, users, plan.rows, {}), lambda: insert_log(server, users)
    )
    what = f"fold of {plan.rows:,} rows, SpendLogs on; INSERT … SELECT of the same log rows"
    return [at_most(4, what, f"{folded:.2f} s; {inserted:.2f} s", folded / inserted, 1.4)]


def beside_a_writer(server: Server, plan: Plan) -> list[Line]:
    """How long another session waits for a row that a fold writes, and how long if nothing folds."""
    users = 1000
    with server.held_worker():
        record.empty(server)
        server.reset_targets(users)
        stage_calls(server, plan.rows, users)
    waits = waits_for_a_row(server, lambda: server.database.wait_folded("600 s"))
    what = f"longest wait of a session that updates a user's row again and again, while {plan.rows:,} rows are folded"
    return [plain(4, f"{what}; median of its waits", f"{1e3 * max(waits):,.0f} ms; {1e3 * median(waits):,.1f} ms")]


def waits_for_a_row(server: Server, action: Callable[[], None]) -> list[float]:
    """Seconds that each update of a row took. The updates run one after the other until the action ends."""
    ended, waits = threading.Event(), []

    def update() -> None:
        with server.connect() as connection:
            while not ended.is_set():
                waits.append(seconds_of(lambda: connection.execute(UPDATE_A_USER)))

    writer = threading.Thread(target=update)
    writer.start()
    try:
        action()
    finally:
        ended.set()
        writer.join()
    return waits


def copy_log(database: Database) -> None:
    """Keep the log rows that a fold wrote, in the order in which it wrote them."""
    database.execute("DROP TABLE IF EXISTS bench.log_rows")
    database.execute('CREATE TABLE bench.log_rows AS SELECT * FROM "LiteLLM_SpendLogs"')
    database.execute("VACUUM (ANALYZE) bench.log_rows")


def insert_log(server: Server, users: int, prepare: Callable[[], None] | None = None) -> float:
    """Seconds of a bare insert of the kept log rows into SpendLogs with its indexes."""
    (prepare or (lambda: server.unfold(users)))()
    with server.connect() as connection:
        return seconds_of(lambda: connection.execute('INSERT INTO "LiteLLM_SpendLogs" SELECT * FROM bench.log_rows'))


def by_daily_keys(server: Server, plan: Plan) -> list[Line]:
    """Row 7: time per row at 100,000 daily keys against 1,000."""
    server.without_worker()
    per_row = []
    for users in (10_000, 100):
        stage(server, plan.rows, users)
        [seconds] = interleaved(plan.runs, lambda u=users: fold(server, u, plan.rows, {}))
        per_row.append(1e6 * seconds / plan.rows)
    many, few = per_row
    what = "time per folded row at 100,000 daily keys; at 1,000"
    return [at_most(7, what, f"{many:.1f} µs; {few:.1f} µs", many / few, 2.0)]


def beside_a_large_log(server: Server, plan: Plan) -> list[Line]:
    """Row 7: how much longer a fold takes with millions of log rows, and how much longer a bare insert takes."""
    users, rows = 1000, plan.rows // 4
    server.without_worker()
    stage(server, rows, users)
    fold(server, users, rows, {})
    copy_log(server.database)
    numbers = itertools.count(1)

    def fold_new() -> float:
        first = next(numbers) * rows
        stage(server, rows, users, first=first)
        server.checkpoint()
        return timed_fold(server, rows, {})

    def insert_new() -> float:
        server.database.execute("UPDATE bench.log_rows SET request_id = request_id || '-'")
        server.database.execute("VACUUM (ANALYZE) bench.log_rows")
        return insert_log(server, users, prepare=server.checkpoint)

    seconds = {}
    for logged in (0, plan.logged):
        server.reset_targets(users)
        if logged:
            server.database.query("SELECT bench.fill_log(%s)", logged)
            server.database.execute('VACUUM (ANALYZE) "LiteLLM_SpendLogs"')
        seconds[logged] = interleaved(plan.runs, fold_new, insert_new)
    (fold_none, insert_none), (fold_many, insert_many) = seconds.values()
    fold_growth, insert_growth = fold_many / fold_none, insert_many / insert_none
    figure = f"{fold_growth:.2f} x; {insert_growth:.2f} x"
    what = f"growth of the time to fold {rows:,} rows beside {plan.logged:,} log rows; of that to insert them"
    return [at_most(7, what, figure, fold_growth / insert_growth, 1.2)]
