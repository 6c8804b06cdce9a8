"""Finds the names of the tools that a response called, as LiteLLM's proxy does for its Tools page.

Source of the rules: litellm/proxy/db/spend_log_tool_index.py. It reads only names, no arguments.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any


def called_tools(response: Any, realtime_calls: Any = None) -> list[str]:
    """The distinct names, stripped, in the order of the calls.

    `realtime_calls`: the calls that LiteLLM collects in a realtime session, in the form of a chat message's
    `tool_calls`.
    """
    found = _names(response)
    if realtime_calls:
        found += _chat_names(realtime_calls)
    if not found:
        return found
    return list(
        dict.fromkeys(name for found_name in found if isinstance(found_name, str) and (name := found_name.strip()))
    )


def _names(response: Any) -> list[Any]:
    choices = _items(get(response, "choices"))
    if choices:
        # The other members are not read here: looking up a member that a chat completion lacks is slow.
        names: list[Any] = []
        for choice in choices:
            message = get(choice, "message")
            # LiteLLM 1.110 keeps calls apart that the provider ran itself, such as a web search.
            if fields := get(message, "provider_specific_fields"):
                names += _chat_names(get(fields, "server_tool_calls"))
            if calls := get(message, "tool_calls"):
                names += _chat_names(calls)
        return names
    output = _items(get(response, "output"))
    names = [get(item, "name") for item in output if get(item, "type") == "function_call"]
    if not output:
        blocks = _items(get(response, "content"))
        names = [get(block, "name") for block in blocks if get(block, "type") == "tool_use"]
    for item in output:
        if get(item, "type") == "tool_execution_results":
            names += _executed_names(item)
    return names


def _chat_names(calls: Any) -> list[Any]:
    return [get(get(call, "function"), "name") for call in _items(calls)]


def _executed_names(item: Any) -> Iterator[Any]:
    """The MCP tools that LiteLLM itself ran. They are JSON text in an item of a Responses API answer."""
    for content in _items(get(item, "content")):
        try:
            executed = json.loads(get(content, "text"))
        except (TypeError, ValueError):
            continue
        for tool in _items(executed):
            yield get(tool, "name")


def get(source: Any, key: str) -> Any:
    """A member of a mapping or an attribute of an object; None if there is none."""
    return source.get(key) if _is_mapping(type(source)) else getattr(source, key, None)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=128)
def _is_mapping(kind: type) -> bool:
    """Whether a type is a mapping. The cache saves an `isinstance` for each member of a response."""
    return issubclass(kind, Mapping)


def _items(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, (list, tuple)) else ()
