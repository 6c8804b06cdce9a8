"""Programs that fork: python forking.py NAME [NUMBER]. Each prints how many calls it made."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import litellm

HANG_SECONDS = 60.0


def call(user: str, **others: Any) -> None:
    messages = [{"role": "user", "content": "what does it cost?"}]
    model = {"model": "gpt-4o-mini", **others}
    litellm.completion(messages=messages, user=user, mock_response="not much", **model)


def told(calls: int) -> None:
    print(json.dumps({"calls": calls}), flush=True)


def pools(number: int) -> None:
    """Forked pools, whose parent has just made a call. Each is closed and joined."""
    from litellm_spend import SpendLogger

    litellm.callbacks = [SpendLogger()]
    for _ in range(number):
        call("parent")
        pool = multiprocessing.get_context("fork").Pool(4)
        pool.map(call, ["child"] * 20)
        pool.close()
        pool.join()
    told(21 * number)


def load(number: int) -> None:
    """Forks while other threads make calls and records are sent. The children end in each way."""
    from litellm_spend import SpendLogger

    litellm.callbacks = [logger := SpendLogger(flush_interval=0)]
    made, stopping = [0] * 4, threading.Event()
    # A process's first call prepares types inside pydantic. A child that is forked meanwhile can never use them.
    call("parent")

    def work(thread: int) -> None:
        while not stopping.is_set():
            call("parent")
            made[thread] += 1
            # Now and then the sender connects again.
            if thread == 0 and not made[0] % 10:
                logger.close()

    def child(end: int) -> None:
        for _ in range(3):
            call("child")
        if end == 0:
            sys.exit(0)
        os._exit(0 if (logger.flush() if end == 1 else logger.close()) else 1)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(len(made))]
    for thread in threads:
        thread.start()
    try:
        for end in [0, 1, 2] * number:
            pid = os.fork()
            if pid == 0:
                stopping.set()
                child(end)
            assert os.waitpid(pid, 0)[1] == 0
    finally:
        stopping.set()
    for thread in threads:
        thread.join()
    told(1 + sum(made) + 3 * 3 * number)


def locked(_: int) -> None:
    """A fork while another thread holds each lock of litellm_spend, and those of LiteLLM's thread pool."""
    locks: list[Any] = []

    def recorded(make: Callable[[], Any]) -> Callable[[], Any]:
        def make_and_record() -> Any:
            lock = make()
            if sys._getframe(1).f_globals["__name__"].startswith("litellm_spend"):
                locks.append(lock)
            return lock

        return make_and_record

    threading.Lock, threading.RLock = recorded(threading.Lock), recorded(threading.RLock)  # type: ignore[misc,assignment]
    import litellm_spend

    litellm.callbacks = [logger := litellm_spend.SpendLogger(record_failures=True)]
    call("parent", metadata={"team_id": object()})
    call("parent", model="openai/no-such-model")
    assert logger.flush()
    from litellm.litellm_core_utils.thread_pool_executor import executor

    locks += [executor._shutdown_lock, executor._idle_semaphore._cond]
    if hasattr(executor, "_pending_slots"):
        locks += [executor._pending_slots._cond, executor._drop_lock]
    of_litellm = (("litellm.types.llms.base_model", "_SCHEMA_BUILD_LOCK"), ("pydantic.main", "_rebuild_lock"))
    modules = [(sys.modules.get(module), name) for module, name in of_litellm]
    held_by_litellm = [getattr(module, name) for module, name in modules if hasattr(module, name)]
    locks += held_by_litellm
    assert len(locks) > 15, "the locks of litellm_spend are not found"
    held, stopping = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        stopping.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        threading.Timer(HANG_SECONDS / 2, os._exit, (3,)).start()
        call("child", metadata={"team_id": object()})
        call("child", model="openai/another-model")
        call("child", metadata={"spend_logs_metadata": {"deep": [10**200_000]}})
        assert all(lock.acquire(timeout=0) for lock in held_by_litellm)
        is_sent = logger.flush() and logger.close()
        os._exit(0 if is_sent and litellm_spend.handler is not logger else 1)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    stopping.set()
    thread.join()
    assert ended == 0, "the child hung" if ended == 3 else ended
    told(5)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 1)
