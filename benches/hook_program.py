"""Sends many success events through one SpendLogger, in a process of its own with LiteLLM, and prints the times.

The event is the real event of a mocked call. Each repetition gets ids of its own, as it would from LiteLLM.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_spend import SpendLogger


class Catcher(CustomLogger):
    """Keeps what LiteLLM hands to a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.caught: list[tuple[Any, ...]] = []
        self.came = threading.Event()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.caught.append((kwargs, response_obj, start_time, end_time))
        self.came.set()


def catch_event() -> tuple[Any, ...]:
    catcher = Catcher()
    litellm.callbacks = [catcher]
    litellm.completion(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "what does it cost? " * 50}],
        user="user-1000",
        metadata={"tags": ["tag-1"], "team_id": "team-1"},
        mock_response="not much " * 50,
    )
    assert catcher.came.wait(60), "LiteLLM delivered no event in 60 s"
    litellm.callbacks = []
    return catcher.caught[0]


def events(template: tuple[Any, ...], count: int, prefix: str) -> list[tuple[Any, ...]]:
    kwargs, *rest = template
    made = []
    for number in range(count):
        ids = {"litellm_call_id": f"call-{prefix}-{number}"}
        payload = {**kwargs["standard_logging_object"], **ids, "id": f"{prefix}-{number}"}
        made.append(({**kwargs, **ids, "standard_logging_object": payload}, *rest))
    return made


def main() -> None:
    count = int(sys.argv[1])
    template = catch_event()
    logger = SpendLogger(max_queue=10 * count)
    for event in events(template, 1000, "warm"):
        logger.log_success_event(*event)
    logger.flush(60)

    # The events are paced like calls. This measures the caller's thread while the sender's thread is at work.
    took = []
    for event in events(template, count // 4, "paced"):
        started = time.perf_counter_ns()
        logger.log_success_event(*event)
        took.append(time.perf_counter_ns() - started)
        time.sleep(0.0005)
    logger.flush(60)
    took.sort()

    burst = events(template, count, "burst")
    started = time.perf_counter()
    for event in burst:
        logger.log_success_event(*event)
    flushed = logger.flush(120)
    seconds = time.perf_counter() - started
    stats = logger.stats()
    assert flushed and not stats.dropped and not stats.refused, stats
    logger.close()
    print(
        json.dumps(
            {
                "p50": took[len(took) // 2] / 1e3,
                "p99": took[len(took) * 99 // 100] / 1e3,
                "per_second": count / seconds,
                "sent": stats.sent,
            }
        )
    )


main()
