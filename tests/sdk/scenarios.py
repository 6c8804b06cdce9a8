"""An application's use of the LiteLLM SDK. Each scenario is a function, and runs in a process of its own:

    python scenarios.py NAME [REGISTRATION] [NUMBER]

The process prints what the SDK reported, as one JSON line, and exits at once: no sleep, no flush.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

import litellm
from registrations import REGISTRATIONS

MESSAGES = [{"role": "user", "content": "what does it cost?"}]
MODEL = "gpt-4o-mini"


class Reported:
    """The sum of what the SDK returned to the application."""

    def __init__(self) -> None:
        self.calls = self.failures = self.prompt_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.users: dict[str, float] = defaultdict(float)

    def add(self, response: Any, user: str = "", cost: float | None = None) -> None:
        if cost is None:
            cost = response._hidden_params["response_cost"]
        self.calls += 1
        self.cost += cost
        self.users[user] += cost
        self.prompt_tokens += response.usage.prompt_tokens
        self.completion_tokens += response.usage.completion_tokens

    def add_stream(self, chunks: list[Any], user: str = "") -> None:
        response = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
        self.add(response, user, litellm.completion_cost(response, model=MODEL))

    def print(self) -> None:
        print(json.dumps(vars(self)), flush=True)


def arguments(user: str, **others: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": MESSAGES, "user": user, "mock_response": "not much", **others}


async def acompletions(reported: Reported, number: int, users: int = 1) -> None:
    names = [f"user-{index % users}" for index in range(number)]
    responses = await asyncio.gather(*(litellm.acompletion(**arguments(name)) for name in names))
    for name, response in zip(names, responses, strict=True):
        reported.add(response, name)


def gathered(reported: Reported, number: int) -> None:
    asyncio.run(acompletions(reported, number))


def ten_users(reported: Reported, number: int) -> None:
    asyncio.run(acompletions(reported, number, users=10))


def short_runs(reported: Reported, number: int) -> None:
    for _ in range(number):
        asyncio.run(acompletions(reported, 1))


def completions(reported: Reported, number: int) -> None:
    for _ in range(number):
        reported.add(litellm.completion(**arguments("user-0")), "user-0")


def streams(reported: Reported, number: int) -> None:
    for _ in range(number):
        reported.add_stream(list(litellm.completion(**arguments("user-0", stream=True))), "user-0")


def astreams(reported: Reported, number: int) -> None:
    async def stream() -> None:
        response = await litellm.acompletion(**arguments("user-0", stream=True))
        reported.add_stream([chunk async for chunk in response], "user-0")

    async def main() -> None:
        await asyncio.gather(*(stream() for _ in range(number)))

    asyncio.run(main())


def mixed(reported: Reported, number: int) -> None:
    """Sync and async calls and streams. The async calls come last, and their event loop ends at once."""
    completions(reported, number)
    streams(reported, number)
    astreams(reported, number)
    gathered(reported, number)


EMBEDDING = {"model": "text-embedding-3-small", "input": ["a b c"], "user": "user-0", "mock_response": [0.1, 0.2]}


def embeddings(reported: Reported, number: int) -> None:
    for _ in range(number):
        reported.add(litellm.embedding(**EMBEDDING), "user-0")


def aembeddings(reported: Reported, number: int) -> None:
    async def main() -> None:
        for response in await asyncio.gather(*(litellm.aembedding(**EMBEDDING) for _ in range(number))):
            reported.add(response, "user-0")

    asyncio.run(main())


TEXT = {"model": "gpt-3.5-turbo-instruct", "prompt": "once", "user": "user-0", "mock_response": "upon a time"}


def text_completions(reported: Reported, number: int) -> None:
    for _ in range(number):
        reported.add(litellm.text_completion(**TEXT), "user-0")


def atext_completions(reported: Reported, number: int) -> None:
    async def main() -> None:
        for response in await asyncio.gather(*(litellm.atext_completion(**TEXT) for _ in range(number))):
            reported.add(response, "user-0")

    asyncio.run(main())


def failures(reported: Reported, number: int) -> None:
    """One successful call, then failed ones: half sync, half async."""

    async def fail() -> None:
        try:
            await litellm.acompletion(**arguments("user-0", mock_response=Exception("what does it cost?")))
        except Exception:
            reported.failures += 1

    async def main() -> None:
        await asyncio.gather(*(fail() for _ in range(number // 2)))

    reported.add(litellm.completion(**arguments("user-0")), "user-0")
    for _ in range(number - number // 2):
        try:
            litellm.completion(**arguments("user-0", mock_response=Exception("what does it cost?")))
        except Exception:
            reported.failures += 1
    asyncio.run(main())


def cache_hits(reported: Reported, number: int) -> None:
    """The same call several times, sync and async. The first one costs, and the cache serves the others."""
    litellm.cache = litellm.Cache(type="local")

    async def main() -> None:
        for _ in range(number - 1 - number // 2):
            reported.add(await litellm.acompletion(**arguments("user-0", caching=True)), "user-0", 0.0)
            await asyncio.sleep(0)

    async def fill() -> None:
        response = await litellm.acompletion(**arguments("user-0", caching=True))
        reported.add(response, "user-0")

    asyncio.run(fill())
    for _ in range(number // 2):
        reported.add(litellm.completion(**arguments("user-0", caching=True)), "user-0", 0.0)
    asyncio.run(main())


def routed(reported: Reported, number: int) -> None:
    """A Router whose first group always fails: each call is retried there, then falls back to the second group."""

    def deployment(name: str, **mock: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": f"openai/{MODEL}", "api_key": "sk-none", **mock}}

    failing = [deployment("first", mock_response="litellm.InternalServerError") for _ in range(2)]
    router = litellm.Router(
        # Two fail, because a Router tries the other one at once, but waits before it retries a single one.
        model_list=[*failing, deployment("second", mock_response="not much")],
        fallbacks=[{"first": ["second"]}],
        num_retries=1,
        retry_after=0,
        disable_cooldowns=True,
    )

    async def main() -> None:
        calls = (router.acompletion(model="first", messages=MESSAGES, user="user-0") for _ in range(number))
        for response in await asyncio.gather(*calls):
            reported.add(response, "user-0")

    asyncio.run(main())


def main() -> None:
    name, registration, number = (*sys.argv[1:], *("object", "1")[len(sys.argv) - 2 :])
    REGISTRATIONS[registration]()
    reported = Reported()
    globals()[name](reported, int(number))
    reported.print()


if __name__ == "__main__":
    main()
