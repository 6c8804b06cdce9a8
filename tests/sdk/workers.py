"""Calls from workers of multiprocessing. Each worker ends at once. Usage: python workers.py METHOD KIND..."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event

import litellm
from registrations import by_object
from scenarios import arguments

# A spawned worker imports this file to find `call`.
by_object()


def call(user: str) -> None:
    """One sync and one async call."""
    litellm.completion(**arguments(user))
    asyncio.run(litellm.acompletion(**arguments(user)))


def in_process(context: BaseContext) -> None:
    process = context.Process(target=call, args=("process",))
    process.start()
    process.join(60)
    assert process.exitcode == 0, process.exitcode


def in_pool(context: BaseContext) -> None:
    pool = context.Pool(1)
    pool.map(call, ["pool"])
    pool.close()
    pool.join()


def in_executor(context: BaseContext) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        list(executor.map(call, ["executor"]))


def capture(captured: Event) -> None:
    """One call. It is not sent before the parent ends this worker."""
    from litellm_spend import SpendLogger

    litellm.callbacks = [logger := SpendLogger(flush_interval=600)]
    litellm.completion(**arguments("terminated"))
    while not logger.stats().queued:
        time.sleep(0.01)
    captured.set()
    time.sleep(600)


def terminated(context: BaseContext) -> None:
    process = context.Process(target=capture, args=(captured := context.Event(),))
    process.start()
    captured.wait(60)
    process.terminate()
    process.join(60)
    assert process.exitcode == -signal.SIGTERM, process.exitcode


KINDS = {"process": in_process, "pool": in_pool, "executor": in_executor, "terminated": terminated}

if __name__ == "__main__":
    for kind in sys.argv[2:]:
        KINDS[kind](multiprocessing.get_context(sys.argv[1]))
