"""On which dispositions of SIGTERM the callback acts, and what a uvicorn server does at its end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from litellm_spend._process import lifecycle, termination


class Server:
    """A server like uvicorn's. `handle_exit` is its signal handler."""

    def __init__(self, captured: list[int]) -> None:
        self.events: list[str] = []
        self._captured_signals = captured

    def handle_exit(self, number: int, frame: Any) -> None:
        self._captured_signals.append(number)

    async def shutdown(self, sockets: Any = None) -> None:
        self.events.append(f"shut down {sockets}")


Server.__module__ = "uvicorn.server"


@pytest.fixture(autouse=True)
def default(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(termination, "_handler_at_last_look", None)
    monkeypatch.setattr(termination, "_ending", None)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def look(events: list[str] | None = None) -> Any:
    """Calls `watch`, and returns the handler that is then installed."""

    async def send() -> None:
        if events is not None:
            events.append("sent")

    termination.watch(lambda: None, send, lambda: 5)
    return signal.getsignal(signal.SIGTERM)


def test_the_default_is_replaced_and_another_handler_is_not() -> None:
    assert look() is termination._handle
    for other in (signal.SIG_IGN, lambda *_: None):
        signal.signal(signal.SIGTERM, other)
        assert look() is other


def test_a_default_that_comes_back_is_replaced_again() -> None:
    assert look() is termination._handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert look() is termination._handle


def test_the_main_thread_replaces_what_another_thread_may_not() -> None:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(look()))
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
    assert look() is termination._handle


def test_the_first_process_of_a_namespace_keeps_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert look() == signal.SIG_DFL


def test_a_forked_child_does_not_go_on_with_its_parents_end() -> None:
    look()
    assert termination._ending
    termination._ending.begin()
    termination.restart_in_child()
    assert not termination._ending.has_begun()
    assert termination.has_handler()


def wrapped(server: Server) -> Callable[..., None]:
    uvicorns = server.handle_exit
    return lambda *of_signal: uvicorns(*of_signal)


@pytest.mark.parametrize("handler_of", [lambda server: server.handle_exit, wrapped])
@pytest.mark.parametrize(("number", "sent"), [(signal.SIGTERM, ["sent"]), (signal.SIGINT, [])])
def test_a_server_that_got_sigterm_sends_once_when_it_has_shut_down(
    handler_of: Callable[[Server], Any], number: int, sent: list[str]
) -> None:
    server = Server([number])
    signal.signal(signal.SIGTERM, handler := handler_of(server))
    for _ in range(2):
        assert look(server.events) is handler
        # Another handler was installed and removed.
        termination._handler_at_last_look = None
    asyncio.run(server.shutdown(sockets=[]))
    assert server.events == ["shut down []", *sent]


def test_a_server_and_the_signal_that_it_raises_again_share_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(lifecycle, "_sigterm_deadline", float("-inf"))
    monkeypatch.setattr(lifecycle, "_exit_seconds", 5.0)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert lifecycle._deadline_at_sigterm() == 1005
    now = 1005.1
    assert lifecycle._deadline_at_sigterm() == 1005
    now = 1100.0
    assert lifecycle._deadline_at_sigterm() == 1105


def test_the_loggers_of_a_process_share_the_largest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Logger:
        def finish(self, deadline: float) -> None: ...

        def send(self, deadline: float) -> int:
            return 0

        def before_fork(self) -> None: ...

        def after_fork_in_parent(self) -> None: ...

        def restart_in_child(self) -> None: ...

    monkeypatch.setattr(lifecycle, "_exit_seconds", 0.0)
    ending = termination.Ending(lambda: None, lambda: lifecycle._exit_seconds)
    loggers = [Logger() for _ in range(3)]
    for logger, seconds in zip(loggers, (2.0, 7.0, 3.0), strict=True):
        lifecycle.register(logger, flush_at_sigterm=False, exit_timeout=seconds)
    assert lifecycle._exit_seconds == 7
    assert ending.seconds == 8, "also the handler that was installed before"
