"""Waits for the events that LiteLLM has not delivered yet, because LiteLLM calls its callbacks after a call returned.

LiteLLM delivers an event in one of four ways:

- a task of its thread pool, for sync calls and for sync callbacks. `track` notes each task that is submitted.
- an asyncio task of the call's event loop, which calls the callbacks or passes the event to the logging worker.
- a task of the logging worker, which has one queue, on one event loop. It also has overflow tasks.
- a thread of its own, for the failure of a sync stream.

A wait is for what was there when it began, so it ends although other calls go on. A function that reads private
attributes of LiteLLM waits for nothing if these have moved.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from types import CodeType
from typing import Any, Final

log = logging.getLogger("litellm_spend")

# The names of LiteLLM's coroutine functions that deliver an event.
_DELIVERS: Final = re.compile(
    r"(_logging_helper|_success_handlers?|_failure_handlers?|_failure_handlers_in_order|_collected_chunks"
    r"|streaming_logging_to_handler)$"
)
_LOGGING_MODULE: Final = "litellm.litellm_core_utils.litellm_logging"
_POLL_SECONDS: Final = 0.005

_here = threading.local()
_submitted: set[concurrent.futures.Future[Any]] = set()


def track() -> None:
    """Notes the tasks that LiteLLM submits to its thread pool from now on. A second call does nothing. Never raises."""
    try:
        executor = thread_pool()
        submit: Callable[..., concurrent.futures.Future[Any]] = executor.submit
        if getattr(submit, "_litellm_spend", False):
            return

        @functools.wraps(submit)
        def tracked(*args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
            future = submit(_deliver, *args, **kwargs)
            _submitted.add(future)
            future.add_done_callback(_submitted.discard)
            return future

        tracked._litellm_spend = True  # type: ignore[attr-defined]
        executor.submit = tracked
    except Exception as error:
        log.debug("LiteLLM's thread pool cannot be watched: %s", type(error).__name__)


def _deliver(task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Runs a task of the thread pool, and marks its thread meanwhile."""
    _here.is_delivering = True
    try:
        return task(*args, **kwargs)
    finally:
        _here.is_delivering = False


def forget() -> None:
    """Forgets all tasks, in a forked child: the parent delivers them."""
    _submitted.clear()


def is_delivering() -> bool:
    """Whether the caller is a callback, which LiteLLM's delivery waits for."""
    try:
        if getattr(_here, "is_delivering", False) or _delivers_in_thread(threading.current_thread()):
            return True
        task = asyncio.current_task()
        return task is not None and _delivers(task)
    except RuntimeError:  # no event loop runs in this thread
        return False
    except Exception as error:
        log.debug("the current task could not be read: %s", type(error).__name__)
        return False


def has_running_loop() -> bool:
    """Whether the caller's thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def wait(deadline: float) -> bool:
    """Waits for LiteLLM's threads, at most until `deadline` (monotonic). Returns whether all have delivered."""
    current = threading.current_thread()
    threads = [thread for thread in threading.enumerate() if thread is not current and _delivers_in_thread(thread)]
    # The copy is made by one call into C, so another thread cannot change the set meanwhile.
    _, waiting = concurrent.futures.wait(tuple(_submitted), max(0.0, deadline - time.monotonic()))
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not waiting and not any(thread.is_alive() for thread in threads)


async def wait_async(deadline: float) -> bool:
    """Waits for the tasks of this event loop, for the worker if it is on this loop, and then for LiteLLM's threads."""
    try:
        delivered = await _wait_for_tasks(filter(_delivers, asyncio.all_tasks()), deadline)
        delivered = await _wait_for_worker(deadline) and delivered
    except asyncio.TimeoutError:
        return False
    except Exception as error:
        log.debug("LiteLLM's tasks were not waited for: %s", type(error).__name__)
        delivered = True
    waiting = tuple(_submitted)
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        waiting = tuple(future for future in waiting if not future.done())
    return delivered and not waiting


async def _wait_for_tasks(tasks: Iterable[asyncio.Task[Any]], deadline: float) -> bool:
    waited = [task for task in tasks if task is not asyncio.current_task()]
    if not waited:
        return True
    _, waiting = await asyncio.wait(waited, timeout=max(0.0, deadline - time.monotonic()))
    return not waiting


async def _wait_for_worker(deadline: float) -> bool:
    worker = logging_worker()
    if worker is None or worker._queue is None:
        return True
    task = worker._worker_task
    if task is not None and task.get_loop() is not asyncio.get_running_loop() and not task.get_loop().is_closed():
        return True  # another loop's worker
    # An overflow task puts its event into the queue, at its end.
    if not await _wait_for_tasks(tuple(getattr(worker, "_overflow_tasks", ())), deadline):
        return False
    reached = asyncio.Event()
    worker.ensure_initialized_and_enqueue(_reach(reached))
    await asyncio.wait_for(reached.wait(), max(0.0, deadline - time.monotonic()))
    # LiteLLM 1.79 has one event at a time. Later versions may still deliver events that came before.
    return await _wait_for_tasks(tuple(getattr(worker, "_running_tasks", ())), deadline)


async def _reach(reached: asyncio.Event) -> None:
    reached.set()


def logging_worker() -> Any:
    """LiteLLM's logging worker; None if it is not loaded."""
    module = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    return getattr(module, "GLOBAL_LOGGING_WORKER", None)


def thread_pool() -> Any:
    """LiteLLM's thread pool; raises KeyError or AttributeError if it has moved."""
    return sys.modules["litellm.litellm_core_utils.thread_pool_executor"].executor


def _delivers(task: asyncio.Task[Any]) -> bool:
    """Whether a task delivers an event."""
    if task in getattr(sys.modules.get("litellm.responses.streaming_iterator"), "_PENDING_LOGGING_TASKS", ()):
        return True
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None)
    return isinstance(coroutine, Coroutine) and isinstance(code, CodeType) and _is_delivery(code)


def _is_delivery(code: CodeType) -> bool:
    return _DELIVERS.search(code.co_name) is not None and code.co_filename.startswith(_litellm_folder())


@functools.cache
def _litellm_folder() -> str:
    import litellm

    return os.path.dirname(litellm.__file__) + os.sep


def _delivers_in_thread(thread: threading.Thread) -> bool:
    target = getattr(getattr(thread, "_target", None), "__func__", None)
    return getattr(target, "__module__", None) == _LOGGING_MODULE
