"""Runs each program in a fork of one interpreter that has LiteLLM loaded: `python preloaded.py DESCRIPTOR`

Loading LiteLLM takes some five seconds of CPU, and a fork takes a few milliseconds. A forked program starts with
one thread and without litellm_spend. It ends as any other program does: it reaches the end of `__main__`, and
the interpreter joins its threads and runs its exit handlers. DESCRIPTOR is a listening socket, at which
interpreter.py asks for programs.
"""

from __future__ import annotations

import gc
import json
import os
import select
import selectors
import signal
import socket
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

# A program's streams and its request.
DESCRIPTORS = 4
# LiteLLM adds to them while it is loaded.
OWN_VARIABLES = set(os.environ)


def load() -> None:
    import first_calls

    first_calls.load_modules()
    import psycopg  # noqa: F401

    assert len(os.listdir("/proc/self/task")) == 1, "this process has started threads, and a fork would lose them"
    assert "litellm_spend" not in sys.modules
    # A program must find its own modules, not those of the harness.
    del sys.path[0], sys.modules["first_calls"]
    # No fork would collect the objects of this process, and a look at them would copy all their memory.
    gc.freeze()


def next_program(listener: socket.socket) -> dict[str, Any] | None:
    """Serve connections. Returns the program to run in each fork, and None in this process once all have hung up.

    This process therefore ends when the last process that uses it ends, however that ends.
    """
    # The kernel reaps the forks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector, listener:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(greeted(listener.accept()[0]), selectors.EVENT_READ)
                    continue
                connection = key.fileobj
                selector.unregister(connection)
                asked, descriptors, *_ = socket.recv_fds(connection, 1, DESCRIPTORS)
                if asked and os.fork() == 0:
                    for other in selector.get_map().values():
                        other.fileobj.close()
                    return forked(connection, descriptors)
                connection.close()
                for descriptor in descriptors:
                    os.close(descriptor)
            if len(selector.get_map()) == 1:
                return None


def greeted(connection: socket.socket) -> socket.socket:
    with suppress(OSError):
        connection.sendall(b"!")
    return connection


def forked(connection: socket.socket, descriptors: list[int]) -> dict[str, Any]:
    """Fork again, and return in the new fork, which is the program. This fork reports the program's exit code, and
    kills the program if the client hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        connection.close()
        return become(*descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(pid)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(b"%d\n" % exit_code)
    os._exit(0)


def become(stdin: int, stdout: int, stderr: int, request: int) -> dict[str, Any]:
    """Give this process the program's streams, environment, arguments and folder."""
    for standard, given in enumerate((stdin, stdout, stderr)):
        os.dup2(given, standard)
        os.close(given)
    with open(request) as file:
        program = json.load(file)
    for name in OWN_VARIABLES:
        del os.environ[name]
    os.environ.update(program["environment"])
    sys.argv[:] = program["argv"]
    folder = os.path.dirname(sys.argv[0])
    sys.path.insert(0, folder)
    os.chdir(folder)
    return program


load()
program = next_program(socket.socket(fileno=int(sys.argv[1])))
if program is not None:
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = sys.argv[0]
    exec(compile(program["code"], sys.argv[0], "exec", dont_inherit=True), vars(main))
