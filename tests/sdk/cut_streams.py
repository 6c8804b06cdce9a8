"""Streams that the provider cuts, and what LiteLLM does next. Each case has a user of its own, sync and async.

    python cut_streams.py [failures]

Prints each event that LiteLLM delivers, as one JSON line. With `failures`, failed calls are recorded too.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import sys
import time
from typing import Any

import litellm
import provider
from litellm.integrations.custom_logger import CustomLogger

from litellm_spend import SpendLogger

API = {"api_base": provider.start(), "api_key": "sk-none"}
OPENAI, ANTHROPIC = "openai/gpt-4o", "anthropic/claude-sonnet-4-5"
CONTINUES = "enable_mid_stream_fallback_continuation"


def router(model: str, **settings: Any) -> litellm.Router:
    if CONTINUES in settings and CONTINUES not in inspect.signature(litellm.Router).parameters:
        del settings[CONTINUES]  # LiteLLM 1.79 has none
    names = ("first", "first", "second", "second")
    deployments = [{"model_name": name, "litellm_params": {"model": model, **API}} for name in names]
    return litellm.Router(deployments, retry_after=0, disable_cooldowns=True, **settings)


PLAIN = (None, {"model": OPENAI, **API})
RETRIED = (None, {"model": OPENAI, **API, "num_retries": 2, "max_retries": 0})
MESSAGES = (None, {"model": ANTHROPIC, **API})
RETRYING = (router(OPENAI, num_retries=2), {"model": "first"})
REROUTING = (router(OPENAI, num_retries=0, fallbacks=[{"first": ["second"]}]), {"model": "first"})
BOTH = (router(ANTHROPIC, num_retries=1, fallbacks=[{"first": ["second"]}]), {"model": "first"})
CONTINUING = (
    router(ANTHROPIC, num_retries=0, fallbacks=[{"first": ["second"]}], **{CONTINUES: True}),
    {"model": "first"},
)

# The model, how it is called, and the provider's answer.
CASES: dict[str, tuple[tuple[Any, dict[str, Any]], str, dict[str, Any]]] = {
    "whole": (PLAIN, "completion", {"answers": ["whole"]}),
    "cut": (PLAIN, "completion", {"answers": ["cut"]}),
    "ended": (PLAIN, "completion", {"answers": ["ended"]}),
    "messages cut": (MESSAGES, "anthropic_messages", {"answers": ["cut"]}),
    "response cut": (PLAIN, "responses", {"answers": ["cut"]}),
    "num_retries": (RETRIED, "completion", {"answers": ["failed", "cut"]}),
    "retried, cut": (RETRYING, "completion", {"answers": ["failed", "cut"]}),
    "retried, ended": (RETRYING, "completion", {"answers": ["failed", "ended"]}),
    "retried, response cut": (RETRYING, "responses", {"answers": ["failed", "cut"]}),
    "cut before a word": (REROUTING, "completion", {"answers": ["cut", "whole"], "words": 0}),
    "ended before a word": (REROUTING, "completion", {"answers": ["ended", "whole"], "words": 0}),
    "messages retried": (BOTH, "anthropic_messages", {"answers": ["cut", "whole"], "words": 0}),
    "messages rerouted": (BOTH, "anthropic_messages", {"answers": ["cut", "cut", "whole"], "words": 0}),
    "messages never": (BOTH, "anthropic_messages", {"answers": ["cut"], "words": 0}),
    "continued": (CONTINUING, "completion", {"answers": ["cut", "whole"]}),
    "continued, cut": (CONTINUING, "completion", {"answers": ["cut"]}),
    "continued, failed": (CONTINUING, "completion", {"answers": ["cut", "failed"]}),
    "all fail": (REROUTING, "completion", {"answers": ["failed"]}),
}


class Witness(CustomLogger):
    """Prints the events that LiteLLM sends to every callback of a call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[str]] = {}

    def tell(self, kwargs: Any) -> None:
        payload = kwargs["standard_logging_object"]
        user = payload["metadata"]["user_api_key_user_id"]
        call = payload.get("litellm_call_id") or kwargs["litellm_call_id"]
        self.seen.setdefault(user, set()).add(call)
        event = {"user": user, "call": call, "status": payload["status"], "start": payload["startTime"]}
        print(json.dumps(event | {"cost": payload["response_cost"]}), flush=True)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.tell(kwargs)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.tell(kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.tell(kwargs)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.tell(kwargs)


def request(case: str, user: str) -> tuple[Any, str, dict[str, Any]]:
    (target, arguments), method, wish = CASES[case]
    messages = provider.ask(user=user, **wish)
    asked = {"messages": messages} if method != "responses" else {"input": messages[0]["content"]}
    if method == "anthropic_messages":
        asked["max_tokens"] = 99
    metadata = "metadata" if method == "completion" else "litellm_metadata"
    return target, method, {**arguments, **asked, "stream": True, metadata: {"user_api_key_user_id": user}}


def run_sync(case: str) -> None:
    target, method, arguments = request(case, case)
    with contextlib.suppress(Exception):
        for _ in getattr(target or litellm, method)(**arguments):
            pass


async def run_async(case: str) -> None:
    target, method, arguments = request(case, f"async {case}")
    name = method if target is None and method == "anthropic_messages" else f"a{method}"
    with contextlib.suppress(Exception):
        async for _ in await getattr(target or litellm, name)(**arguments):
            pass


async def main() -> None:
    await asyncio.gather(*map(run_async, CASES))
    # LiteLLM 1.79 is silent about some streams that end without a word.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not all(map(is_told, CASES)):
        await asyncio.sleep(0.05)


def is_told(case: str) -> bool:
    return len(witness.seen.get(f"async {case}", ())) >= provider.requests_of(f"async {case}")


litellm.callbacks = [SpendLogger(record_failures="failures" in sys.argv), witness := Witness()]
for each in CASES:
    if CASES[each][1] != "anthropic_messages":
        run_sync(each)
asyncio.run(main())
