"""An application that uvicorn serves: python serving.py USER WHERE PORT

Each request makes a call. Its answer names the process and the calls that it has captured so far. WHERE says where
the logger is created: nowhere, when the module is loaded, when the application starts, or under a handler that calls
uvicorn's handler, as in LiteLLM's proxy.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import litellm
import uvicorn
from scenarios import arguments

USER, WHERE, PORT = sys.argv[1:]
loggers: list[Any] = []


def record() -> None:
    from litellm_spend import SpendLogger

    # Nothing is sent early unless somebody asks for it.
    loggers.append(SpendLogger(flush_interval=600))
    litellm.callbacks = loggers


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await litellm.acompletion(**arguments(USER))
    answer = {"pid": os.getpid(), "queued": sum(logger.stats().queued for logger in loggers)}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def start() -> None:
    if WHERE == "start":
        record()
    if WHERE == "wrapped":
        uvicorns = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *of_signal: uvicorns(*of_signal))
        record()


if WHERE == "module":
    record()
if __name__ == "__main__":
    uvicorn.run(application, port=int(PORT), log_level="warning")
