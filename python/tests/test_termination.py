"""On which dispositions of SIGTERM the callback acts, and what a uvicorn server does at its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._litellm import workarounds
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

    termination.watch(lambda: None, send, 5)
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
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert lifecycle._deadline_at_sigterm() == 1005
    now = 1005.1
    assert lifecycle._deadline_at_sigterm() == 1005
    now = 1100.0
    assert lifecycle._deadline_at_sigterm() == 1105


def test_what_litellms_worker_has_queued_is_delivered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deliver(own_loop: bool) -> list[str]:
        delivered = []

        async def flush() -> None:
            delivered.append("an event")

        task = asyncio.create_task(asyncio.sleep(0)) if own_loop else SimpleNamespace(get_loop=lambda: None)
        worker = SimpleNamespace(_worker_task=task, flush=flush)
        module = SimpleNamespace(GLOBAL_LOGGING_WORKER=worker)
        monkeypatch.setitem(sys.modules, "litellm.litellm_core_utils.logging_worker", module)
        await workarounds.deliver_async_events(10)
        return delivered

    assert asyncio.run(deliver(own_loop=True)) == ["an event"]
    # The queue of another thread's loop must not be touched.
    assert asyncio.run(deliver(own_loop=False)) == []


def test_a_busy_thread_pool_is_waited_for_until_it_is_idle_or_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as executor:
        module = SimpleNamespace(executor=executor)
        monkeypatch.setitem(sys.modules, "litellm.litellm_core_utils.thread_pool_executor", module)
        done = executor.submit(time.sleep, 0.1)
        workarounds.wait_for_thread_pool(time.monotonic() + 60)
        assert done.done()
        may_end = threading.Event()
        stuck = executor.submit(may_end.wait)
        workarounds.wait_for_thread_pool(time.monotonic())
        assert not stuck.done()
        may_end.set()
