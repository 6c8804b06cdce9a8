"""Sends captured records when a uvicorn server that got SIGTERM has shut down.

uvicorn (and so FastAPI applications and LiteLLM's proxy) finishes its requests, restores the handler that was there
before its own, and raises the signal again. The process then ends without exit handlers.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any

log = logging.getLogger("litellm_spend")

_IS_WRAPPED = "_litellm_spend_sends_after_shutdown"


def server_of(handler: Any) -> Any:
    """The server whose method is the signal handler, or is wrapped by it, as in LiteLLM's proxy; else None."""
    for candidate in (handler, *_closure_of(handler)):
        if isinstance(candidate, MethodType) and _is_server(candidate.__self__):
            return candidate.__self__
    return None


def send_after_shutdown(server: Any, send: Callable[[], Awaitable[None]]) -> None:
    """Makes the server's `shutdown` call `send` at its end, if SIGTERM ends the server.

    If something else ends the server, the exit handlers run, or the process goes on.
    """
    if _IS_WRAPPED in vars(server):
        return
    setattr(server, _IS_WRAPPED, True)
    shutdown = server.shutdown

    @wraps(shutdown)
    async def shutdown_and_send(*args: Any, **kwargs: Any) -> None:
        await shutdown(*args, **kwargs)
        if signal.SIGTERM in getattr(server, "_captured_signals", (signal.SIGTERM,)):
            try:
                await send()
            except Exception as error:
                log.error("spend records could not be sent when the server shut down: %s", type(error).__name__)

    server.shutdown = shutdown_and_send


def _closure_of(handler: Any) -> list[Any]:
    contents = []
    for cell in getattr(handler, "__closure__", None) or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return contents


def _is_server(owner: Any) -> bool:
    return any(parent.__module__ == "uvicorn.server" for parent in type(owner).__mro__)
