"""Runs each program in a fork of one interpreter that has LiteLLM loaded: `python preloaded.py`

To load LiteLLM takes some five seconds of CPU, to fork a few milliseconds. A forked program starts with
one thread and without litellm_spend, and ends as any other does: it falls off the end of `__main__`, and
the interpreter joins its threads and runs its exit handlers. Each line of stdin asks for one program,
as JSON (`argv`, `code`, `variables`, `stdout`, `stderr`); two lines answer: its pid, then its exit code.
"""

import gc
import json
import os
import sys
import threading
from typing import Any

import litellm  # noqa: F401


def next_program() -> dict[str, Any] | None:
    """Serves requests; returns in each child with what it is to run, and here with None at the end of stdin."""
    assert threading.active_count() == 1, "a fork would lose the threads that LiteLLM started"
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
            return request
        answer(pid)
        answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return None


def answer(number: int) -> None:
    print(number, flush=True)


def become(request: dict[str, Any]) -> None:
    """Gives the child the request's streams, environment and arguments."""
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["stdout"], os.O_WRONLY),
        (2, request["stderr"], os.O_WRONLY),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.update(request["variables"])
    sys.argv[:] = request["argv"]


# What the parent made is nothing that a child would collect; to look at it would copy all its memory.
gc.freeze()
program = next_program()
if program is not None:
    exec(compile(program["code"], program["argv"][0], "exec"))
