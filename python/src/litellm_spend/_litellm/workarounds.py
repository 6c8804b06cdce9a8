"""Works around behaviour of LiteLLM and of Python's thread pool that hangs a script, or loses an event or its cost.

A function that reads private attributes does nothing if these have moved.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any

from .deliveries import logging_worker, thread_pool

log = logging.getLogger("litellm_spend")


def may_hang_at_exit() -> bool:
    """Whether this LiteLLM's worker task can swallow the cancellation with which `asyncio.run` ends.

    The task awaits each callback with `wait_for`. Before Python 3.12, `wait_for` loses a cancellation that comes when
    the callback ends. LiteLLM 1.79 then waits forever for the next event, with any callback or none.
    """
    worker = logging_worker()
    return sys.version_info < (3, 12) and worker is not None and not hasattr(worker, "_process_log_task")


def end_cancelled_worker() -> None:
    """Cancels LiteLLM's worker task again if it swallowed a cancellation. Not for the loop's own thread."""
    try:
        worker = logging_worker()
        task = worker._worker_task
        if task is None or task.done() or not worker._queue._getters:
            return
        if _has_lost_cancellation(task):
            task.get_loop().call_soon_threadsafe(task.cancel)
    except Exception as error:
        log.debug("LiteLLM's worker could not be checked: %s", type(error).__name__)


def _has_lost_cancellation(task: asyncio.Task[Any]) -> bool:
    if sys.version_info >= (3, 11):
        return task.cancelling() > 0
    # Python 3.10 does not tell. But when `asyncio.run` ends, no other task is left. If the loop goes on after all,
    # nothing is lost: LiteLLM starts another task with the next call.
    loop = task.get_loop()
    return loop.is_running() and asyncio.all_tasks(loop) == {task}


def revive_thread_pool() -> None:
    """Makes LiteLLM's thread pool start threads of its own in a forked child, and frees its locks there.

    Otherwise the pool counts on the parent's idle threads, which the child does not have, and its events wait forever.
    If another thread used the pool while this one forked, a lock of the pool is held forever, and so each call hangs.
    """
    try:
        executor = thread_pool()
        executor._shutdown_lock = threading.Lock()
        executor._idle_semaphore = threading.Semaphore(0)
        executor._work_queue = queue.SimpleQueue()
        executor._threads = set()
        # Later versions limit the tasks that wait. The tasks of the parent do not count here.
        if hasattr(executor, "_pending_slots"):
            executor._pending_slots = threading.Semaphore(executor._max_pending_tasks)
        if hasattr(executor, "_drop_lock"):
            executor._drop_lock = threading.Lock()
    except Exception as error:
        log.debug("LiteLLM's thread pool could not be restarted: %s", type(error).__name__)


def restore_lost_cost(record: dict[str, Any], kwargs: Mapping[str, Any], response: Any) -> None:
    """Computes the cost of a finished stream again if LiteLLM 1.79 reports it as free.

    LiteLLM 1.79 handles each chunk on a thread of its own, and a late thread clears the cost that was just computed.
    """
    if record.get("response_cost") or not kwargs.get("stream") or not record.get("completion_tokens"):
        return
    if record.get("cache_hit") is True or record.get("status") != "success":
        return
    try:
        import litellm

        record["response_cost"] = litellm.completion_cost(
            response, model=record.get("model"), custom_llm_provider=record.get("custom_llm_provider")
        )
    except Exception as error:
        log.debug("LiteLLM has no price for a stream: %s", type(error).__name__)
