"""The names of the tools that a response called, as LiteLLM's proxy finds them for its Tools page.

Source of the rules: litellm/proxy/db/spend_log_tool_index.py. Only names are read, no arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def called_tools(response: Any, realtime_calls: Any = None) -> list[str]:
    """The distinct names, stripped, in the order of the calls.

    `realtime_calls`: what LiteLLM collects in a realtime session, as a chat message's `tool_calls`.
    """
    names: dict[str, None] = {}
    for name in (*_names(response), *_chat_names(_items(realtime_calls))):
        if isinstance(name, str) and (name := name.strip()):
            names[name] = None
    return list(names)


def _names(response: Any) -> Iterator[Any]:
    choices = _items(get(response, "choices"))
    if choices:
        for choice in choices:
            yield from _chat_names(_items(get(get(choice, "message"), "tool_calls")))
        # To ask a chat completion for what it does not have takes longer than all the rest.
        return
    output = _items(get(response, "output"))
    for item in output:
        if get(item, "type") == "function_call":
            yield get(item, "name")
    for block in () if output else _items(get(response, "content")):
        if get(block, "type") == "tool_use":
            yield get(block, "name")
    for item in output:
        if get(item, "type") == "tool_execution_results":
            yield from _executed_names(item)


def _chat_names(calls: list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    for call in calls:
        yield get(get(call, "function"), "name")


def _executed_names(item: Any) -> Iterator[Any]:
    """The MCP tools that LiteLLM itself ran: JSON text in an item of a Responses API answer."""
    for content in _items(get(item, "content")):
        try:
            executed = json.loads(get(content, "text"))
        except (TypeError, ValueError):
            continue
        for tool in _items(executed):
            yield get(tool, "name")


def get(source: Any, key: str) -> Any:
    """A member of a mapping or an attribute of an object; None if there is none."""
    return source.get(key) if isinstance(source, Mapping) else getattr(source, key, None)


def _items(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, (list, tuple)) else ()
