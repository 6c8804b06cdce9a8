"""Habits of LiteLLM and of Python's thread pool that would hang a script, or lose an event or its cost.

What reaches into private attributes does nothing where these have moved.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

log = logging.getLogger("litellm_spend")

# At most so long for callbacks that run when the process ends: those of others may take minutes.
_CALLBACK_SECONDS = 1.0


def _logging_worker() -> Any:
    module = sys.modules.get("litellm.litellm_core_utils.logging_worker")
    return getattr(module, "GLOBAL_LOGGING_WORKER", None)


def _thread_pool() -> Any:
    return sys.modules["litellm.litellm_core_utils.thread_pool_executor"].executor  # type: ignore[attr-defined]


def may_hang_at_exit() -> bool:
    """Whether this LiteLLM's worker task can swallow the cancellation by which `asyncio.run` ends.

    It awaits each callback with `wait_for`, which before Python 3.12 loses a cancellation that comes
    as the callback ends. LiteLLM 1.79 then waits for the next event for ever, with any callback or none.
    """
    worker = _logging_worker()
    return sys.version_info < (3, 12) and worker is not None and not hasattr(worker, "_process_log_task")


def end_cancelled_worker() -> None:
    """Cancels LiteLLM's worker task again if it swallowed a cancellation. For another thread than the loop's."""
    try:
        worker = _logging_worker()
        task = worker._worker_task
        if task is None or task.done() or not worker._queue._getters:
            return
        if hasattr(task, "cancelling") and task.cancelling():
            task.get_loop().call_soon_threadsafe(task.cancel)
    except Exception as error:
        log.debug("LiteLLM's worker was not looked at: %s", type(error).__name__)


async def deliver_async_events(seconds: float) -> None:
    """Waits until LiteLLM's worker task has called the callbacks for all that it has queued on this event loop."""
    try:
        worker = _logging_worker()
        task = worker and worker._worker_task
        if task and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait_for(worker.flush(), seconds)
    except Exception as error:
        log.debug("LiteLLM's worker was not waited for: %s", type(error).__name__)


def wait_for_thread_pool(deadline: float) -> None:
    """Waits until LiteLLM's thread pool has called the callbacks for all that it has queued."""
    until = min(deadline, time.monotonic() + _CALLBACK_SECONDS)
    try:
        executor = _thread_pool()
        while executor._idle_semaphore._value < len(executor._threads) or executor._work_queue.qsize():
            if time.monotonic() > until:
                return
            time.sleep(0.005)
    except Exception as error:
        log.debug("LiteLLM's thread pool was not waited for: %s", type(error).__name__)


def revive_thread_pool() -> None:
    """In a forked child: makes LiteLLM's thread pool start threads of its own.

    The pool believes that the parent's idle threads are there and would queue the child's events for ever.
    """
    try:
        executor = _thread_pool()
        if executor._threads:
            executor._shutdown_lock = threading.Lock()
            executor._idle_semaphore = threading.Semaphore(0)
            executor._work_queue = queue.SimpleQueue()
            executor._threads = set()
    except Exception as error:
        log.debug("LiteLLM's thread pool was not looked at: %s", type(error).__name__)


def restore_lost_cost(record: dict[str, Any], kwargs: Mapping[str, Any], response: Any) -> None:
    """Prices a finished stream again that LiteLLM 1.79 reports as free.

    It handles each chunk on a thread of its own, and one that is late clears the cost that was just computed.
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
