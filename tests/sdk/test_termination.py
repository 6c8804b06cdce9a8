"""SIGTERM, with the default options: the captured calls are counted, and the process ends as without the callback."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from harness.cluster import free_port
from harness.database import Database

from .asleep import wait_until_asleep
from .driving import GIVE_UP_SOON, Sdk

TERMINATED = -signal.SIGTERM
CALLS = 3
# Nothing is sent early unless somebody asks for it.
CAPTURE = f"""
import signal
from asleep import wait_until_asleep
def terminate(pid=os.getpid()):
    os.kill(pid, signal.SIGTERM)
def capture(user):
    for _ in range({CALLS}): call(user)
    wait_until(lambda: logger.stats().queued == {CALLS}, "the calls are captured")
"""
REGISTER = "litellm.callbacks = [logger := SpendLogger(flush_interval=600)]\n" + CAPTURE
# What the main thread does when the signal comes.
OCCUPATIONS = {
    "asleep": "time.sleep(600)",
    "in-C": "import hashlib\nwhile True: hashlib.pbkdf2_hmac('sha256', b'password', b'salt', 100_000)",
    "waiting for a lock": "(lock := threading.Lock()).acquire(); lock.acquire()",
    "joining a thread": "(thread := threading.Thread(target=time.sleep, args=(600,))).start(); thread.join()",
    "on an event loop": "asyncio.run(asyncio.sleep(600))",
    "holding the queue's lock": "with logger._outbox._changed: terminate()\ntime.sleep(600)",
    "holding the log's lock": "with handler.lock, logging._lock: terminate()\ntime.sleep(600)",
    "starting a thread": "with threading._active_limbo_lock: terminate()\ntime.sleep(600)",
}


def counted(database: Database, user: str) -> int:
    database.wait_folded()
    return database.query('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE "user" = %s', user)[0][0]


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_a_script_loses_nothing(shared_database: Database, litellm: Sdk, occupation: str) -> None:
    user = f"{occupation} {litellm.version}"
    code = f"{REGISTER}capture({user!r})\nsay(pid=os.getpid())\n{OCCUPATIONS[occupation]}"
    with litellm.start_code(code, url=shared_database.url) as program:
        pid = json.loads(program.stdout.readline())["pid"]
        if "terminate" not in OCCUPATIONS[occupation]:
            if occupation != "in-C":
                wait_until_asleep(pid)
            os.kill(pid, signal.SIGTERM)
        assert program.wait(60) == TERMINATED, program.log()
        assert program.log() == ""
    assert counted(shared_database, user) == CALLS


def test_what_litellm_has_not_reported_yet_is_waited_for(shared_database: Database, litellm: Sdk) -> None:
    user = f"at once {litellm.version}"
    slow = "litellm.success_callback = [lambda *_: time.sleep(0.2)]\n"
    code = f"{slow}{REGISTER}for _ in range({CALLS}): call({user!r})\nterminate()"
    with litellm.start_code(code, url=shared_database.url) as program:
        assert program.wait(60) == TERMINATED, program.log()
    assert counted(shared_database, user) == CALLS


# Code that handles SIGTERM itself, installed before calls are captured, and how the process then ends.
ALONE = {
    "ignored": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{}\nos._exit(3)", 3),
    "its own handler": ("signal.signal(signal.SIGTERM, lambda *_: os._exit(4))\n{}", 4),
    "its loop's handler": (
        """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 5)
    {}
    await asyncio.sleep(600)
asyncio.run(main())
""",
        5,
    ),
    "the option": ("{}", TERMINATED),
}


@pytest.mark.parametrize("case", ALONE)
def test_what_is_not_the_default_is_left_alone(shared_database: Database, litellm: Sdk, case: str) -> None:
    code, exit_code = ALONE[case]
    user = f"{case} {litellm.version}"
    register = REGISTER.replace("=600", "=600, flush_at_sigterm=False") if case == "the option" else REGISTER
    with litellm.start_code(
        register + code.format(f"capture({user!r}); terminate()"), url=shared_database.url
    ) as program:
        assert program.wait(60) == exit_code, program.log()
        assert program.log() == ""
    assert counted(shared_database, user) == 0


def test_a_handler_of_the_applications_own_may_exit_or_call_what_was_before(
    shared_database: Database, litellm: Sdk
) -> None:
    code = """
def handle(number, frame):
    say(handled=user)
    if user.startswith("exits"):
        sys.exit(6)
    before(number, frame)
user = sys.argv[1]
capture(user)
before = signal.signal(signal.SIGTERM, handle)
terminate()
"""
    for user, exit_code in (("exits", 6), ("goes on", TERMINATED)):
        user = f"{user} {litellm.version}"
        with litellm.start_code(REGISTER + code, user, url=shared_database.url) as program:
            assert program.wait(60) == exit_code, program.log()
            assert program.stdout.read().count("handled") == 1
        assert counted(shared_database, user) == CALLS


# Each ends a child that has captured calls of `user` and waits, and prints how the child ended.
CHILDREN = {
    "process": """
from multiprocessing import get_context
ready = (context := get_context("fork")).Event()
(process := context.Process(target=child, args=(ready.set,))).start()
ready.wait(); wait_until_asleep(process.pid); process.terminate(); process.join()
say(exit_code=process.exitcode)
""",
    "pool": """
from multiprocessing import get_context
with get_context("fork").Pool(1) as pool:
    pool.apply(capture, (user,))
    [process] = pool._pool
    wait_until_asleep(process.pid)
process.join()
say(exit_code=process.exitcode)
""",
    "fork": """
reader, writer = os.pipe()
if (pid := os.fork()) == 0:
    child(lambda: os.write(writer, b"!"))
os.read(reader, 1); wait_until_asleep(pid); terminate(pid)
say(exit_code=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_forked_child_loses_nothing(shared_database: Database, litellm: Sdk, kind: str) -> None:
    code = """
user = sys.argv[1]
def child(ready):
    capture(user)
    ready()
    time.sleep(600)
"""
    user = f"{kind} {litellm.version}"
    ran = litellm.run_code(REGISTER + code + CHILDREN[kind], user, url=shared_database.url)
    assert ran.sdk == {"exit_code": TERMINATED}
    assert counted(shared_database, user) == CALLS


def test_a_worker_of_another_start_method_ends_at_once(shared_database: Database, newest: Sdk) -> None:
    with newest.start_afresh("workers.py", "spawn", "terminated", url=shared_database.url) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert counted(shared_database, "terminated") == 0


def test_a_held_attempt_is_counted_though_only_a_thread_makes_calls(shared_database: Database, litellm: Sdk) -> None:
    code = """
litellm.callbacks = [logger := SpendLogger(flush_interval=600, record_failures=True)]
failing = {"model": "gpt-4o-mini", "mock_response": "litellm.InternalServerError"}
router = litellm.Router([{"model_name": "a model", "litellm_params": failing}], num_retries=0)
def fail():
    try:
        router.completion("a model", [{"role": "user", "content": "what?"}], user=sys.argv[1])
    except Exception:
        say(failed=1)
(thread := threading.Thread(target=fail)).start(); thread.join()
wait_until(lambda: logger.stats().held, "an attempt is held")
terminate()
"""
    user = f"held {litellm.version}"
    with litellm.start_code(CAPTURE + code, user, url=shared_database.url) as program:
        assert program.wait(60) == TERMINATED, program.log()
    assert counted(shared_database, user) == 1


LOST = f"litellm_spend: ERROR {CALLS} spend records are lost at exit: "


def test_a_server_that_is_gone_delays_the_end_and_the_loss_is_told(litellm: Sdk) -> None:
    code = f"{GIVE_UP_SOON}{REGISTER}capture('user')\nterminate()\ntime.sleep(600)"
    with litellm.start_code(code, url=f"postgresql://127.0.0.1:{free_port()}/none") as program:
        assert program.wait(60) == TERMINATED
        problem, lost = program.log().splitlines()
    assert problem.startswith("litellm_spend: ERROR cannot record spend: ") and "refused" in problem
    assert lost.startswith(LOST)


def test_the_process_ends_by_the_signal_though_its_main_thread_ends_first(litellm: Sdk) -> None:
    """The main thread runs for a moment now and then, because it may hold what the sending thread waits for."""
    code = f"{GIVE_UP_SOON.replace('0.5', '3')}{REGISTER}capture('user')\nterminate()\nsay(went_on=1)"
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        litellm.start_code(code, url=f"postgresql://127.0.0.1:{silent.getsockname()[1]}/none") as program,
    ):
        assert program.wait(60) == TERMINATED
        assert program.stdout.read() == '{"went_on": 1}\n'
        *_, lost = program.log().splitlines()
    assert lost.startswith(LOST)
