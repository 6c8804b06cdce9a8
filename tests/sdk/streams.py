"""The provider's streams, event by event. A stream is whole or ends after a few words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

PROMPT_TOKENS, WORDS = 2000, 30


def events(path: str, words: int, id_: object = 1, *, is_whole: bool) -> Iterator[bytes]:
    """The server-sent events of an answer of 30 words, or only of its first words if it is not whole."""
    kind = path.rsplit("/", 1)[-1]
    make = {"responses": response_events, "messages": message_events}.get(kind, chat_events)
    for event in make(WORDS if is_whole else words, id_, is_whole=is_whole):
        name = f"event: {event['type']}\n" if "type" in event else ""
        yield f"{name}data: {json.dumps(event)}\n\n".encode()
    if is_whole and make is chat_events:
        yield b"data: [DONE]\n\n"


def chat_events(words: int, id_: object, *, is_whole: bool) -> Iterator[dict[str, Any]]:
    chunk = {"id": f"chatcmpl-{id_}", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    yield chunk | {"choices": [_choice({"role": "assistant", "content": ""})]}
    for number in range(words):
        yield chunk | {"choices": [_choice({"content": f"word{number} "})]}
    if is_whole:
        yield chunk | {"choices": [_choice({}, "stop")]}
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": words, "total_tokens": PROMPT_TOKENS + words}
        yield chunk | {"choices": [], "usage": usage}


def _choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def message_events(words: int, id_: object, *, is_whole: bool) -> Iterator[dict[str, Any]]:
    message = {"id": f"msg_{id_}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
    yield {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for number in range(words):
        delta = {"type": "text_delta", "text": f"word{number} "}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    if is_whole:
        yield {"type": "content_block_stop", "index": 0}
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": words}}
        yield {"type": "message_stop"}


def response_events(words: int, id_: object, *, is_whole: bool) -> Iterator[dict[str, Any]]:
    response = {"id": f"resp_{id_}", "object": "response", "created_at": 1, "model": "gpt-4o", "output": []}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    numbers = iter(range(10_000))

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "sequence_number": next(numbers), **fields}

    yield event("created", response=response | {"status": "in_progress"})
    yield event("output_item.added", output_index=0, item=item)
    yield event("content_part.added", **place, part=part)
    for number in range(words):
        yield event("output_text.delta", **place, delta=f"word{number} ", logprobs=[])
    if is_whole:
        usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": words, "total_tokens": PROMPT_TOKENS + words}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        text = "".join(f"word{number} " for number in range(words))
        done = item | {"status": "completed", "content": [part | {"text": text}]}
        yield event("completed", response=response | {"status": "completed", "output": [done], "usage": usage})
