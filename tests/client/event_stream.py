"""An application under load: one real event of LiteLLM, repeated with ids of its own, many times a second.

    python event_stream.py SPOOL EVENTS_A_SECOND JOURNAL

Writes a line into the journal once the callback's hook has returned: the id of the event, and how long the hook took in
seconds. Ends when its stdin is closed.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
import uuid
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from litellm_spend import SpendLogger


class Witness(CustomLogger):
    """Keeps an event as LiteLLM delivers it."""

    seen: tuple[dict[str, Any], Any] | None = None

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.seen = (dict(kwargs), response_obj)


def one_event() -> tuple[dict[str, Any], Any]:
    litellm.callbacks = [witness := Witness()]
    litellm.completion(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}], mock_response="an answer", user="load"
    )
    while witness.seen is None:
        time.sleep(0.01)
    litellm.callbacks = []
    return witness.seen


def with_id(event: dict[str, Any], id_: str) -> dict[str, Any]:
    payload = {**event["standard_logging_object"], "id": id_, "litellm_call_id": id_, "startTime": time.time()}
    return {**event, "litellm_call_id": id_, "standard_logging_object": payload}


def main() -> None:
    spool, rate, journal_path = sys.argv[1:]
    event, response = one_event()
    logger = SpendLogger(spool_dir=spool, send_timeout=1)
    began, due = time.monotonic(), 0.0
    print(json.dumps({"pid": os.getpid()}), flush=True)
    with open(journal_path, "a", buffering=1) as journal:
        while not select.select([sys.stdin], [], [], max(0.0, began + due - time.monotonic()))[0]:
            due += 1 / float(rate)
            id_ = f"event-{uuid.uuid4().hex}"
            before = time.perf_counter()
            logger.log_success_event(with_id(event, id_), response, None, None)
            journal.write(f"{id_} {time.perf_counter() - before}\n")


if __name__ == "__main__":
    logging.basicConfig(format="%(name)s: %(levelname)s %(message)s")
    main()
