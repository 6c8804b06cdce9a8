"""A server that does not answer holds up one call to it, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from sdk.driving import Sdk

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.program import Program

BACKEND = "SELECT pid FROM pg_stat_activity WHERE application_name = 'litellm_spend' AND datname = current_database()"


@contextmanager
def frozen(database: Database) -> Iterator[int]:
    """Stops the callback's backend, which neither ends nor closes its connection, and lets it go on at the end."""
    [(pid,)] = database.query(BACKEND)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def told(program: Program, what: str) -> None:
    assert what in program.stdout.readline(), program.log()


def test_records_take_a_new_connection_when_a_backend_is_frozen(database: Database, litellm: Sdk) -> None:
    code = """
litellm.callbacks = [logger := SpendLogger(send_timeout=1)]
call("before"); assert logger.flush()
say(freeze=1); sys.stdin.readline()
for _ in range(5): call("during")
wait_until(lambda: logger.stats().sending_seconds, "a send runs")
assert logger.stats().oldest_unsent_seconds is not None
assert logger.flush(60), logger.stats()
say(retries=logger.stats().retries, oldest=logger.stats().oldest_unsent_seconds)
"""
    with litellm.start_code(code, url=database.url) as program:
        told(program, "freeze")
        with frozen(database):
            program.stdin.write("\n")
            assert program.stdout.readline() == '{"retries": 1, "oldest": null}\n', program.log()
            assert program.wait(60) == 0, program.log()
        problem, recorded = program.log().splitlines()
    assert "did not answer" in problem and "send_timeout" in problem
    assert recorded == "litellm_spend: WARNING spend is recorded again"
    database.wait_folded()
    assert database.query('SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1') == [
        ("before", 1),
        ("during", 5),
    ]


def test_the_end_of_a_process_does_not_wait_for_a_frozen_backend_only(database: Database, litellm: Sdk) -> None:
    code = """
litellm.callbacks = [logger := SpendLogger()]
call("before"); assert logger.flush()
say(freeze=1); sys.stdin.readline()
call("during")
wait_until(lambda: logger.stats().sending_seconds, "a send runs")
"""
    with litellm.start_code(code, url=database.url) as program:
        told(program, "freeze")
        with frozen(database):
            program.stdin.write("\n")
            assert program.wait(60) == 0, program.log()
            assert "lost" not in program.log()
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 2


def test_a_call_that_got_through_after_all_counts_once(own_cluster: Cluster, newest: Sdk) -> None:
    """The frozen backend goes on and commits what was meanwhile sent again."""
    database = new_database(own_cluster)
    code = """
litellm.callbacks = [logger := SpendLogger(send_timeout=1)]
call("before"); assert logger.flush()
say(freeze=1); sys.stdin.readline()
call("twice"); assert logger.flush(60)
"""
    with newest.start_code(code, url=database.url) as program:
        told(program, "freeze")
        with frozen(database) as pid:
            program.stdin.write("\n")
            assert program.wait(60) == 0, program.log()
    database.wait_for(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}", 0)
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 2
    assert database.value('SELECT sum(api_requests) FROM "LiteLLM_DailyUserSpend"') == 2
