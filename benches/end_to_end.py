"""Rows 5 and 6: how fast records are counted in every target, against a function that counts each call; how soon."""

from __future__ import annotations

from . import pgbench, record
from .report import Line, at_least, below, plain
from .runs import Plan, interleaved, seconds_of
from .server import Server

UPSERT = "SELECT bench.upsert_each_call({document})"
BATCH = 100
BATCH_SCRIPT = "SELECT {function}(payload) FROM bench.batches WHERE n = (SELECT nextval('bench.next_batch'))"
LOGGED = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'
# The time from the commit of each record to the commit of its fold. track_commit_timestamp keeps both.
LAG = """
    SELECT percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM
               pg_xact_commit_timestamp(l.xmin) - pg_xact_commit_timestamp(s.xid::xid)) * 1000)
    FROM litellm_spend.staging AS s JOIN "LiteLLM_SpendLogs" AS l ON l.request_id = s.payload ->> 'id'"""


def single_calls(server: Server, plan: Plan) -> list[Line]:
    """Row 5 with one record per call."""
    server.with_worker()
    lines = []
    for users in (10, 1000):

        def ours(users: int = users) -> float:
            start_anew(server, users)
            outcome = pgbench.run(server, record.RECORD, users=users, seconds=plan.seconds)
            return counted_per_second(server, outcome, records=1)

        def upserts(users: int = users) -> float:
            start_anew(server, users)
            outcome = pgbench.run(server, UPSERT, users=users, seconds=plan.seconds)
            check_counted(server, outcome.calls)
            return outcome.calls_per_second

        mine, theirs = interleaved(plan.runs, ours, upserts)
        what = f"record and fold, 8 clients, {users:,} users; a function that upserts at each call"
        lines.append(at_least(5, what, f"{mine:,.0f}/s; {theirs:,.0f}/s", mine / theirs, 5))
    return lines


def batches(server: Server, plan: Plan) -> list[Line]:
    """Row 5 with a hundred records per call."""
    server.with_worker()
    lines = []
    for users in (10, 1000):
        server.database.query("SELECT bench.make_batches(%s, %s, %s)", plan.batch_calls, BATCH, users)

        def ours(users: int = users) -> float:
            start_anew(server, users)
            script = BATCH_SCRIPT.format(function="litellm_record_spend")
            outcome = pgbench.run_script(server, script, calls=plan.batch_calls)
            return counted_per_second(server, outcome, records=BATCH)

        def upserts(users: int = users) -> float:
            start_anew(server, users)
            script = BATCH_SCRIPT.format(function="bench.upsert_each_call")
            outcome = pgbench.run_script(server, script, calls=plan.batch_calls // 4)
            check_counted(server, outcome.calls * BATCH)
            return outcome.calls_per_second

        mine, theirs = interleaved(plan.runs, ours, upserts)
        what = f"the same with {BATCH} records a call, {users:,} users"
        lines.append(at_least(5, what, f"{mine:,.1f}/s; {theirs:,.1f}/s", mine / theirs, 15))
    return lines


def start_anew(server: Server, users: int) -> None:
    record.empty(server)
    server.database.execute("ALTER SEQUENCE bench.next_batch RESTART")
    server.reset_targets(users)


def counted_per_second(server: Server, outcome: pgbench.Outcome, *, records: int) -> float:
    """Calls per second, up to the moment at which the last one is folded."""
    waited = seconds_of(lambda: server.database.wait_folded("600 s"))
    check_counted(server, outcome.calls * records)
    return outcome.calls / (outcome.calls / outcome.calls_per_second + waited)


def check_counted(server: Server, records: int) -> None:
    """Check that each record is once in the log and once in the daily rows."""
    logged = server.database.value(LOGGED)
    daily = server.database.value('SELECT sum(api_requests)::bigint FROM "LiteLLM_DailyUserSpend"')
    assert logged == daily == records, f"of {records} records {logged} are logged and {daily} counted"


def open_loop(server: Server, plan: Plan) -> list[Line]:
    """Row 6."""
    rate = 0.6 * record.rate(server, plan)
    server.with_worker(track_commits=True)
    start_anew(server, 1000)
    outcome = pgbench.run(server, record.RECORD, seconds=plan.open_loop_seconds, rate=rate)
    server.database.wait_folded("600 s")
    lost = outcome.calls - server.database.value(LOGGED)
    median, p99, most = server.database.value(LAG)
    what = f"open loop of {rate:,.0f} single calls a second, {plan.open_loop_seconds:.0f} s"
    return [
        plain(6, f"{what}: lag from commit to commit, median; longest", f"{median:,.0f} ms; {most:,.0f} ms"),
        below(6, "its p99", p99, 500, "ms"),
        Line(6, f"lost of {outcome.calls:,}", str(lost), None, "0", lost == 0, f"gap: {lost}"),
    ]
