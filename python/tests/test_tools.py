"""The names of called tools, for every kind of response that LiteLLM's own Tools page reads."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._record.tools import called_tools


def chat_call(name: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": "needle"}}


def choices(*names: Any) -> list[dict[str, Any]]:
    return [{"message": {"tool_calls": [chat_call(name) for name in names]}}]


def as_objects(value: Any) -> Any:
    """Converts dicts to objects, because LiteLLM passes either dicts or pydantic models."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_objects(item) for key, item in value.items()})
    return [as_objects(item) for item in value] if isinstance(value, list) else value


EXECUTED = json.dumps([{"name": "fetch", "arguments": {}}, {"name": None}, {"name": "look"}])
RESPONSES = {
    "chat completion": ({"choices": choices("search", "read", "search")}, ["search", "read"]),
    "every choice of a chat completion": ({"choices": [*choices("search"), *choices("read")]}, ["search", "read"]),
    "tools that the provider ran": (
        {
            "choices": [
                {
                    "message": {
                        "tool_calls": [chat_call("read")],
                        "provider_specific_fields": {"server_tool_calls": [chat_call("web_search")], "citations": None},
                    }
                }
            ]
        },
        ["web_search", "read"],
    ),
    "responses API": (
        {"output": [{"type": "function_call", "name": "look"}, {"type": "message", "name": "no"}]},
        ["look"],
    ),
    "anthropic messages": (
        {"content": [{"type": "text", "text": "x"}, {"type": "tool_use", "name": "write", "input": {}}]},
        ["write"],
    ),
    "tools that LiteLLM ran itself": (
        {
            "output": [
                {"type": "tool_execution_results", "content": [{"text": EXECUTED}, {"text": "no json"}, {"text": "1"}]},
                {"type": "function_call", "name": "look"},
            ]
        },
        ["look", "fetch"],
    ),
    "names with blanks, and none": ({"choices": choices("  search ", "", "  ", None, 7)}, ["search"]),
    "no tools": ({"choices": [{"message": {"content": "hi", "tool_calls": None}}]}, []),
    "no response": (None, []),
}


@pytest.mark.parametrize("response, expected", RESPONSES.values(), ids=RESPONSES.keys())
@pytest.mark.parametrize("shape", [lambda value: value, as_objects], ids=["dicts", "objects"])
def test_each_called_tool_is_named_once_in_order(response: Any, expected: list[str], shape: Any) -> None:
    assert called_tools(shape(response)) == expected


def test_a_realtime_sessions_tools_come_after_the_responses() -> None:
    assert called_tools({"choices": choices("a")}, [chat_call("b"), chat_call("a")]) == ["a", "b"]
    assert called_tools(None, [as_objects(chat_call("b"))]) == ["b"]
