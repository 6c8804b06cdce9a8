"""Calls of every kind with all fields that a call can have. Prints each record that the callback makes of them.

Runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import litellm
import provider
from litellm.integrations.custom_logger import CustomLogger

from litellm_spend import SpendLogger, spend_record

ADDRESS = provider.start()
API = {"api_base": ADDRESS, "api_key": "sk-none"}


class Printer(CustomLogger):
    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        record = spend_record(kwargs, response_obj)
        records[record["call_type"]] = record


async def main() -> None:
    router = litellm.Router([{"model_name": "group", "litellm_params": {"model": "openai/gpt-4o", **API}}])
    await router.acompletion(
        model="group",
        messages=provider.ask(tool="search", cached=1500),
        user="chat",
        metadata={
            "agent_id": "agent-1",
            "billing_agent_id": "agent-2",
            "user_api_key_end_user_id": "customer-1",
            "user_api_key_project_id": "project-1",
            "tags": ["tag-1"],
            "team_id": "team-1",
        },
        litellm_session_id="session-1",
    )
    wish = provider.ask(tool="look")
    await litellm.aresponses(model="openai/gpt-4o", input=wish[0]["content"], **API)
    wish = provider.ask(tool="write")
    await litellm.anthropic.messages.acreate(model="anthropic/claude-sonnet-4-5", messages=wish, max_tokens=9, **API)
    # A task of this loop delivers these events of LiteLLM.
    deadline = time.monotonic() + 60
    while len(records) < 3:
        assert time.monotonic() < deadline, f"60 s passed, and only {set(records)} were reported"
        await asyncio.sleep(0.02)


records: dict[str, Any] = {}
litellm.callbacks = [SpendLogger(), Printer()]
asyncio.run(main())
print(json.dumps(records))
