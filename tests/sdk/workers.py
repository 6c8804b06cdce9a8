"""Calls from workers of multiprocessing, each of which ends at once: python workers.py METHOD KIND..."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext

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


KINDS = {"process": in_process, "pool": in_pool, "executor": in_executor}

if __name__ == "__main__":
    for kind in sys.argv[2:]:
        KINDS[kind](multiprocessing.get_context(sys.argv[1]))
