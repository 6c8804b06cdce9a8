"""A process that forks, at any moment and however its children end, records the calls of all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sdk.driving import Sdk

from harness.database import Database
from harness.interpreter import Interpreter

PROGRAM = Path(__file__).with_name("forking.py")
RECORDED = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'


def assert_all_recorded(database: Database, calls: int) -> None:
    database.wait_folded()
    assert database.value(RECORDED) == calls
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0


def few_or_many(few: int, many: int) -> pytest.MarkDecorator:
    long = pytest.param(many, marks=[pytest.mark.stress, pytest.mark.timeout(1800)])
    return pytest.mark.parametrize("number", [few, long])


@few_or_many(2, 100)
def test_pools_that_are_closed_and_joined_lose_nothing(
    database: Database, interpreter: Interpreter, number: int
) -> None:
    ran = interpreter.run(PROGRAM, "pools", str(number), url=database.url, timeout=60 + 15 * number)
    assert_all_recorded(database, ran.sdk["calls"])


@few_or_many(3, 100)
def test_forks_beside_calls_and_sends_lose_nothing(database: Database, interpreter: Interpreter, number: int) -> None:
    ran = interpreter.run(PROGRAM, "load", str(number), url=database.url, timeout=60 + 15 * number)
    assert_all_recorded(database, ran.sdk["calls"])


def test_a_child_needs_no_lock_that_a_thread_of_its_parent_holds(database: Database, interpreter: Interpreter) -> None:
    ran = interpreter.run(PROGRAM, "locked", url=database.url)
    assert_all_recorded(database, ran.sdk["calls"])


def test_workers_find_no_import_of_their_parent_unfinished(database: Database, newest: Sdk) -> None:
    """This Python loads LiteLLM itself, so the parent's first call still loads modules when the pool forks."""
    with newest.start_afresh(str(PROGRAM), "pools", url=database.url) as process:
        stdout, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_all_recorded(database, json.loads(stdout)["calls"])


def test_a_fork_waits_for_the_events_that_litellm_delivers(database: Database, litellm: Sdk) -> None:
    code = """
from litellm.integrations.custom_logger import CustomLogger
delivered = []
class Slow(CustomLogger):
    def log_success_event(self, **_):
        time.sleep(0.3)
        delivered.append(os.getpid())
litellm.callbacks = [SpendLogger(), Slow()]
call()
parent = os.getpid()
if os.fork() == 0:
    os._exit(0 if delivered == [parent] else 1)
assert os.wait()[1] == 0, "the fork did not wait"
"""
    litellm.run_code(code, url=database.url)


def test_an_event_during_the_end_is_not_dropped_by_the_end_of_another(database: Database, litellm: Sdk) -> None:
    """A worker delivers its last events in several threads at once. Each waits for what it captured itself."""
    code = """
litellm.callbacks = [logger := SpendLogger()]
drain = logger._sender.drain
def drain_and_capture(deadline):
    is_drained = drain(deadline)
    if logger.stats().captured == 1:
        call()
        wait_until(lambda: logger.stats().captured == 2, "another thread captured a record")
    return is_drained
logger._sender.drain = drain_and_capture
logger._sender._flush_interval = 1
call()
wait_until(lambda: logger.stats().captured == 1, "a record is captured")
logger.finish(time.monotonic() + 60)
assert (logger.stats().sent, logger.stats().dropped) == (2, 0), logger.stats()
"""
    litellm.run_code(code, url=database.url)
    assert_all_recorded(database, 2)
