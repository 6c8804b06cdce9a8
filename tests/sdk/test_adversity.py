"""Dead and missing servers, forks, threads, late events: no call fails or waits, and no record is lost silently."""

from __future__ import annotations

import re
import socket

import pytest

from conftest import new_database
from harness.cluster import Cluster, free_port
from harness.database import Database

from .driving import GIVE_UP_SOON, Sdk, user_spend

REGISTER = "litellm.callbacks = [logger := SpendLogger()]\n"


def test_a_missing_url_is_one_line_and_the_loss_is_told_at_exit(litellm: Sdk) -> None:
    tried = "\ncall(); call()\nwait_until(lambda: logger.stats().last_error, 'a first attempt to send')"
    ran = litellm.run_code(GIVE_UP_SOON + REGISTER + tried, url=None)
    assert ran.log_lines() == [
        "litellm_spend: ERROR cannot record spend: no database URL: set DATABASE_URL or pass "
        "SpendLogger(database_url=...). Records are kept and sent again later",
        "litellm_spend: ERROR 2 spend records are lost at exit: no database URL: set DATABASE_URL or pass "
        "SpendLogger(database_url=...)",
    ]


def test_a_dead_server_is_one_line_and_lets_the_process_exit(litellm: Sdk) -> None:
    ran = litellm.run_code(
        REGISTER + "call(); call()", url=f"postgresql://app:needle-4711@127.0.0.1:{free_port()}/none"
    )
    problem, lost = ran.log_lines()
    assert problem.startswith("litellm_spend: ERROR cannot record spend: ") and "refused" in problem
    assert lost.startswith("litellm_spend: ERROR 2 spend records are lost at exit: ")
    assert "needle-4711" not in ran.log


def test_a_record_is_queued_whatever_becomes_of_a_proxys_counters(litellm: Sdk) -> None:
    code = (
        REGISTER
        + """
import sys
from litellm_spend._proxy.spend_counters import SpendCounters

def fails(*_):
    raise RuntimeError("the event loop is closed")

SpendCounters.raise_by = fails
server = sys.modules["litellm.proxy.proxy_server"] = type(sys)("proxy_server")
server.general_settings = {"disable_spend_updates": True}
call()
wait_until(lambda: logger.stats().captured == 1, "the call is captured")
"""
    )
    assert litellm.run_code(code, url=None).log_lines()[-1].startswith("litellm_spend: ERROR 1 spend record is lost")


def test_a_server_that_never_answers_delays_no_call_and_lets_the_process_exit(litellm: Sdk) -> None:
    code = (
        REGISTER
        + """
for _ in range(2):
    call()
wait_until(lambda: logger.stats().captured == 2, "2 calls are captured")
# The first attempt to connect goes on: no call waited for its end.
stats = logger.stats()
say(queued=stats.queued, retries=stats.retries)
"""
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = litellm.run_code(code, url=f"postgresql://app@127.0.0.1:{silent.getsockname()[1]}/none")
    assert ran.sdk == {"queued": 2, "retries": 0}
    *problems, lost = ran.log_lines()
    assert lost.startswith("litellm_spend: ERROR 2 spend records are lost at exit: ")
    # An attempt that the exit cut short is told, too.
    assert all("cannot record spend: " in problem for problem in problems) and len(problems) < 2


def test_records_are_kept_while_the_server_is_away_and_sent_when_it_is_back(own_cluster: Cluster, litellm: Sdk) -> None:
    database = new_database(own_cluster)
    code = (
        REGISTER
        + """
call("before"); assert logger.flush()
say(stop=1); sys.stdin.readline()
call("during"); time.sleep(0)
wait_until(lambda: logger.stats().retries, "an attempt to send failed")
say(start=1); sys.stdin.readline()
call("after"); assert logger.flush(60), logger.stats()
"""
    )
    with litellm.start_code(code, url=database.url) as program:
        assert "stop" in program.stdout.readline()
        database.close()
        own_cluster.stop()
        program.stdin.write("\n")
        assert "start" in program.stdout.readline()
        own_cluster.start()
        program.stdin.write("\n")
        assert program.wait(60) == 0, program.log()
    assert set(user_spend(database)) == {"before", "during", "after"}


def test_a_forked_child_records_its_own_calls_and_not_the_parents(database: Database, litellm: Sdk) -> None:
    code = (
        REGISTER
        + """
for _ in range(10): call("parent")
child = os.fork()
for _ in range(10): call("child" if child == 0 else "parent")
if child == 0:
    say(child=logger.stats().captured <= 10)
else:
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    ran = litellm.run_code(code, url=database.url)
    assert ran.sdk["child"] is True
    spent = user_spend(database)
    assert spent["parent"] == pytest.approx(2 * spent["child"], rel=1e-9)
    assert database.query('SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1') == [
        ("child", 10),
        ("parent", 20),
    ]
    assert database.status()["duplicates"] == 0


def test_threads_record_all_their_calls(database: Database, litellm: Sdk) -> None:
    code = (
        REGISTER
        + """
threads = [threading.Thread(target=lambda n=n: [call(f"user-{n}") for _ in range(20)]) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    )
    litellm.run_code(code, url=database.url)
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 160
    assert len(user_spend(database)) == 8


def test_an_event_after_close_is_recorded(database: Database, litellm: Sdk) -> None:
    litellm.run_code(REGISTER + "call('early'); assert logger.close(); call('late')", url=database.url)
    assert set(user_spend(database)) == {"early", "late"}


def test_a_look_at_the_price_that_fails_costs_no_record(database: Database, litellm: Sdk) -> None:
    code = """
def fail(record):
    raise RuntimeError
logger._intake.unpriced.check = fail
call()
"""
    litellm.run_code(REGISTER + code, url=database.url)
    assert set(user_spend(database)) == {"user-0"}


def test_a_full_queue_drops_and_tells_the_true_number(litellm: Sdk) -> None:
    code = (
        GIVE_UP_SOON
        + """
litellm.callbacks = [logger := SpendLogger(max_queue=3)]
for _ in range(10): call()
wait_until(lambda: logger.stats().captured == 10, "10 calls are captured")
say(dropped=logger.stats().dropped, queued=logger.stats().queued)
"""
    )
    ran = litellm.run_code(code, url=f"postgresql://127.0.0.1:{free_port()}/none")
    assert ran.sdk == {"dropped": 7, "queued": 3}
    lines = [line for line in ran.log_lines() if "queue is full" in line]
    # The first is told at once, and the others when a minute is over or the process ends.
    assert [int(re.search(r"\((\d+) since the last such line\)", line)[1]) for line in lines] == [1, 6]


def test_calls_that_ask_not_to_be_logged_are_not_recorded(database: Database, litellm: Sdk) -> None:
    code = (
        REGISTER
        + """
async def main():
    arguments = dict(model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}], mock_response="y")
    await litellm.acompletion(user="asked-not", **{"no-log": True}, **arguments)
    await litellm.acompletion(user="asked", **arguments)
asyncio.run(main())
call("asked-not", **{"no-log": True})
"""
    )
    litellm.run_code(code, url=database.url)
    assert set(user_spend(database)) == {"asked"}
