"""An application that puts keys and prompts wherever LiteLLM lets it, with the callback registered.

An interpreter with LiteLLM runs it. The keys and prompts come as JSON in the variable NEEDLES. At the end it
prints how many records the callback sent.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import litellm

from litellm_spend import SpendLogger

NEEDLES: dict[str, str] = json.loads(os.environ["NEEDLES"])
logger = SpendLogger(record_failures=True)
litellm.callbacks = [logger]


def request(**fields: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": NEEDLES["messages"]}],
        "mock_response": NEEDLES["response"],
        "api_key": NEEDLES["api_key"],
        "api_base": f"https://llm.example/v1?key={NEEDLES['api_base']}",
        "extra_headers": {"x-api-key": NEEDLES["extra_headers"]},
        "user": "alice",
        "metadata": {
            "user_api_key": NEEDLES["metadata.user_api_key"],
            "headers": {"authorization": f"Bearer {NEEDLES['metadata.headers']}"},
            "note": NEEDLES["an unknown field of metadata"],
            "spend_logs_metadata": {"note": NEEDLES["spend_logs_metadata, the control"]},
        },
        **fields,
    }


async def main() -> None:
    await litellm.acompletion(**request())
    await asyncio.to_thread(litellm.completion, **request())
    async for _ in await litellm.acompletion(**request(stream=True)):
        pass
    failing = request(mock_response=RuntimeError(NEEDLES["the text of an error"]))
    shapeless = request(model=NEEDLES["a prompt as the model"])
    for call in (failing, shapeless):
        try:
            await litellm.acompletion(**call)
        except Exception as error:
            print(f"failed as it should: {type(error).__name__}")
    while logger.stats().captured < 5:
        await asyncio.sleep(0.05)
    assert await logger.aflush()


asyncio.run(asyncio.wait_for(main(), 60))
print(f"sent: {logger.stats().sent}")
