"""Calls that fail, through a Router and without one. Each case has a user of its own. Runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import litellm
import provider
from registrations import with_failures

API = {"api_base": provider.start(), "api_key": "sk-none"}
MODEL = "openai/gpt-4o-mini"


def router(**settings: Any) -> litellm.Router:
    # Each group has two deployments: a Router tries the other one at once, but waits before it retries a single one.
    names = ("first", "first", "second", "second")
    deployments = [{"model_name": name, "litellm_params": {"model": MODEL, **API}} for name in names]
    return litellm.Router(deployments, retry_after=0, disable_cooldowns=True, **settings)


RETRYING = router(num_retries=2)
REROUTING = router(num_retries=1, fallbacks=[{"first": ["second"]}])

# What each case asks of the provider, and the function that calls it.
CASES: dict[str, tuple[litellm.Router | None, dict[str, Any]]] = {
    "succeeds": (RETRYING, {}),
    "retried": (RETRYING, {"fail": 2}),
    "exhausted": (RETRYING, {"status": 500}),
    "refused": (RETRYING, {"status": 404}),
    "rerouted": (REROUTING, {"fail": 2}),
    "rerouted and retried": (REROUTING, {"fail": 3}),
    "fails everywhere": (REROUTING, {"status": 500}),
    "retried under an id": (RETRYING, {"fail": 2}),
    "exhausted under an id": (RETRYING, {"status": 500}),
    "plain failure": (None, {"status": 500}),
}


def arguments(case: str, user: str) -> tuple[Any, dict[str, Any]]:
    through, wish = CASES[case]
    request = {"messages": provider.ask(user=user, **wish), "user": user}
    if case.endswith("under an id"):
        request["litellm_call_id"] = user
    if through is None:
        return litellm, {**request, **API, "model": MODEL, "max_retries": 0}
    return through, {**request, "model": "first"}


def attempt(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True


def run_sync(case: str) -> bool:
    target, request = arguments(case, case)
    return attempt(lambda: target.completion(**request))


async def run_async(case: str) -> bool:
    target, request = arguments(case, f"async {case}")
    try:
        await target.acompletion(**request)
    except Exception:
        return False
    return True


async def run_all_async() -> list[bool]:
    # All run at the same time, so only LiteLLM's ids tell the attempts of one call from those of another.
    return await asyncio.gather(*(run_async(case) for case in CASES))


with_failures()
succeeded = {case: run_sync(case) for case in CASES}
succeeded |= {f"async {case}": result for case, result in zip(CASES, asyncio.run(run_all_async()), strict=True)}
print(json.dumps(succeeded))
