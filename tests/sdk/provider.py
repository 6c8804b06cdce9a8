"""A provider at a port of this machine. It answers as each request's first message says.

The message is JSON: `fail` (how often to fail before it answers; for ever by default if `status` is given),
`status` (of those failures), `fails_after` (seconds that such a failure takes), `seconds` (to take for an answer),
`id` (what the answer's id ends with), `tool` (a tool to call), `cached` (cached tokens of the prompt). With
`answers` it streams: each request gets the next answer, and later ones get the last:
`whole`, `cut` or `ended` after so many `words`, or `failed`. It speaks OpenAI's chat completions and responses, and
Anthropic's messages. A client asks for a batch, a response or a video by any id. The work is in progress at first and
done later, except a response whose id does not begin with `background`, which is done at once. A response is created
in the background, as a stream, under the id in the message's `background`. Work that counts no tokens needs no
message.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import streams

PROMPT_TOKENS, COMPLETION_TOKENS = 2000, 10


def start() -> str:
    """Serve in the background until the process ends. Returns the address for `api_base`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def ask(**wish: Any) -> list[dict[str, str]]:
    """The messages that ask the provider for this behaviour."""
    return [{"role": "user", "content": json.dumps(wish)}]


def requests_of(user: str) -> int:
    """How often this user has asked, with any wish."""
    return sum(number for (_, text), number in _requests.items() if f'"user": {json.dumps(user)}' in text)


# The number of requests by the provider's port and the message or id.
_requests: Counter[tuple[int, str]] = Counter()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.path.endswith("/cancel"):
            self.path = self.path.removesuffix("/cancel")
            self.do_GET()
            return
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if answer := WITHOUT_TOKENS.get(self.path.rsplit("/", 1)[1]):
            self._answer(200, answer)
            return
        body = json.loads(sent)
        text = body.get("input") or body["messages"]
        while not isinstance(text, str):
            text = text[0].get("content") or text[0]["text"]
        wish = json.loads(text)
        asked = self._count(text)
        if asked <= wish.get("fail", 10**9 if "status" in wish else 0):
            time.sleep(wish.get("fails_after", 0))
            self._answer(wish.get("status", 500), {"error": {"message": "no", "type": "error", "code": None}})
            return
        time.sleep(wish.get("seconds", 0))
        if "answers" in wish:
            self._stream(wish, wish["answers"][:asked][-1])
        elif "background" in wish:
            self._send_events(background_events(wish["background"]))
        elif self.path.endswith("/responses"):
            self._answer(200, response(wish))
        elif self.path.endswith("/messages"):
            self._answer(200, message(wish))
        elif self.path.endswith("/embeddings"):
            self._answer(200, embedding())
        else:
            self._answer(200, chat_completion(wish))

    def do_GET(self) -> None:
        *_, kind, id_ = self.path.removesuffix("/content").split("/")
        done = self._count(id_) > 1
        if kind == "responses":
            self._answer(200, stored_response(id_, done=done))
        elif kind == "videos":
            self._answer(200, video(id_, done=done))
        else:
            self._answer(200, batch(id_, done=done) if kind == "batches" else batch_line())

    def _count(self, asked_for: str) -> int:
        """How often this provider was asked for it, including this time."""
        key = self.server.server_address[1], asked_for
        _requests[key] += 1
        return _requests[key]

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # the client did not wait
            self.wfile.write(data)

    def _stream(self, wish: dict[str, Any], answer: str) -> None:
        if answer == "failed":
            self._answer(500, {"error": {"message": "no", "type": "error", "code": None}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if answer == "cut":
            # The length is more than is sent, so the connection ends before the answer does.
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        for event in streams.events(self.path, wish.get("words", 10), wish.get("id", 1), is_whole=answer == "whole"):
            self.wfile.write(event)

    def _send_events(self, events: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_: Any) -> None:
        pass


WITHOUT_TOKENS: dict[str, dict[str, Any]] = {
    "generations": {"created": 1, "data": [{"b64_json": "aGk="}]},
    "transcriptions": {"text": "not much"},
    "speech": {"sound": "of JSON"},
    "rerank": {"id": "rerank_1", "results": [{"index": 0, "relevance_score": 0.5}]},
    "ocr": {
        "model": "house-ocr",
        "pages": [{"index": 0, "markdown": "not much", "images": [], "dimensions": None}],
        "usage_info": {"pages_processed": 1, "doc_size_bytes": 1},
    },
    "files": {
        "id": "file-1",
        "object": "file",
        "bytes": 2,
        "created_at": 1,
        "filename": "lines.jsonl",
        "purpose": "batch",
        "status": "processed",
    },
}


def chat_completion(wish: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "not much"}
    if "tool" in wish:
        message["tool_calls"] = [
            {"id": "call_1", "type": "function", "function": {"name": wish["tool"], "arguments": "{}"}}
        ]
    return {
        "id": f"chatcmpl-{wish.get('id', 1)}",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
            "prompt_tokens_details": {"cached_tokens": wish.get("cached", 0)},
        },
    }


def embedding() -> dict[str, Any]:
    return {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    }


def response(wish: dict[str, Any]) -> dict[str, Any]:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": wish.get("tool"), "arguments": "{}"}
    return {
        "id": f"resp_{wish.get('id', 1)}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o",
        "output": [call | {"status": "completed"}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": PROMPT_TOKENS,
            "input_tokens_details": {"cached_tokens": wish.get("cached", 0)},
            "output_tokens": COMPLETION_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


def stored_response(id_: str, *, done: bool) -> dict[str, Any]:
    if not id_.startswith("background"):
        return response({}) | {"id": id_, "background": False}
    unfinished = {} if done else {"status": "in_progress", "usage": None}
    return response({}) | {"id": id_, "background": True} | unfinished


def background_events(id_: str) -> list[dict[str, Any]]:
    kinds = [("response.created", False), ("response.completed", True)]
    return [
        {"type": kind, "sequence_number": number, "response": stored_response(id_, done=done)}
        for number, (kind, done) in enumerate(kinds)
    ]


def video(id_: str, *, done: bool) -> dict[str, Any]:
    """A video whose provider reports the tokens when it is done, at the price of a model that LiteLLM knows."""
    usage = chat_completion({})["usage"] if done else None
    status = "completed" if done else "in_progress"
    return {"id": id_, "object": "video", "created_at": 1, "model": "gpt-4o", "status": status, "usage": usage}


def message(wish: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{wish.get('id', 1)}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [
            {"type": "text", "text": "not much"},
            {"type": "tool_use", "id": "toolu_1", "name": wish.get("tool"), "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1500, "cache_read_input_tokens": wish.get("cached", 0), "output_tokens": 10},
    }


def batch(id_: str, *, done: bool) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file-1",
        "output_file_id": "file-2" if done else None,
        "completion_window": "24h",
        "created_at": 1,
        "status": "completed" if done else "in_progress",
        "request_counts": {"total": 1, "completed": int(done), "failed": 0},
    }


def batch_line() -> dict[str, Any]:
    """The one line of a finished batch's output file."""
    answer = {"status_code": 200, "body": chat_completion({})}
    return {"id": "batch_req_1", "custom_id": "request-1", "response": answer, "error": None}
