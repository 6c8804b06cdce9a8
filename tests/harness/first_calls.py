"""The modules that LiteLLM loads at a program's first calls, found in a fork that makes such calls."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from contextlib import suppress

import litellm

# This module is not loaded ahead: litellm_spend looks for it, and a program may load it between two calls.
LEFT = "litellm.litellm_core_utils.logging_worker"
REQUEST = {"messages": [{"role": "user", "content": "what does it cost?"}], "mock_response": "not much"}


def load_modules() -> None:
    """Load the modules in this process, but call nothing: calls would start threads, which no fork has."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open(sending, "w") as found:
            found.write("\n".join(modules_of_calls()))
        os._exit(0)
    os.close(sending)
    with open(receiving) as found:
        names = found.read().split()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the process that calls LiteLLM failed: see above"
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def modules_of_calls() -> list[str]:
    loaded = set(sys.modules)
    litellm.callbacks = [litellm.integrations.custom_logger.CustomLogger()]
    litellm.completion(model="gpt-4o-mini", **REQUEST)
    asyncio.run(streamed())
    deployment = {"model": "openai/gpt-4o-mini", "api_key": "sk-none"}
    router = litellm.Router([{"model_name": "group", "litellm_params": deployment}])
    router.completion(model="group", **REQUEST)
    return [name for name in sys.modules if name.startswith("litellm.") and name not in {*loaded, LEFT}]


async def streamed() -> None:
    async for _ in await litellm.acompletion(model="gpt-4o-mini", stream=True, **REQUEST):
        pass
