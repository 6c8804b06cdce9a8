"""How the sender handles batches that fail, and how it keeps to its time limits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from litellm_spend._delivery.connection import Connection
from litellm_spend._delivery.outbox import Outbox
from litellm_spend._delivery.outgoing import Outgoing
from litellm_spend._delivery.sender import Sender
from litellm_spend._record.capture import freeze, take

URL = "postgresql://app@a,b/x"


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(max_queue=100, batch_size=100)


class Server:
    """Replaces a connection. `refuse` may raise for a batch."""

    is_open = True

    def __init__(self, refuse: Callable[[list[str]], None] = lambda batch: None) -> None:
        self.batches: list[list[str]] = []
        self._refuse = refuse

    send_timeout = 30.0

    def check(self) -> None:
        pass

    def record(self, batch: list[str], deadline: Callable[[], float]) -> int:
        self._refuse(batch)
        self.batches.append(batch)
        return len(batch)

    def explain(self, error: BaseException) -> str:
        return str(error)

    def close(self) -> None:
        pass


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sender can start its thread, as at interpreter shutdown."""
    monkeypatch.setattr(Sender, "ensure_running", lambda self: None)


@pytest.fixture
def sender(outbox: Outbox, no_threads: None) -> Sender:
    return Sender(outbox, Connection(URL), Outgoing(), 0)


def test_connecting_at_exit_takes_no_longer_than_there_is_time(
    sender: Sender, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    ends: list[float] = []

    def connect(*_: Any, connect_timeout: float = 10, **__: Any) -> None:
        nonlocal now
        now += 2 * connect_timeout  # for each of two hosts
        ends.append(now)
        raise psycopg.OperationalError("timeout expired")

    monkeypatch.setattr(psycopg.Connection, "connect", connect)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    outbox.put("{}")
    assert not sender.drain(deadline=now + 5)
    assert ends == [1004.0]


class SlowToClose(Server):
    """A connection whose `close` sets `closing` when it starts, and ends when `may_close` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.closing, self.may_close = threading.Event(), threading.Event()

    def close(self) -> None:
        self.closing.set()
        self.may_close.wait(10)


def receive(sender: Sender, record: str) -> None:
    sender.outbox.put(record)
    sender.ensure_running()


def test_a_record_that_comes_between_the_last_look_and_the_end_is_sent(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("litellm_spend._delivery.sender._IDLE_CLOSE", 0.01)
    sender = Sender(outbox, server := SlowToClose(), Outgoing(), 0)  # type: ignore[arg-type]
    sender.ensure_running()
    assert server.closing.wait(10), "the idle thread closes its connection"
    drain, interrupt = sender.drain, outbox.interrupt

    def drain_then_receive(deadline: float) -> bool:
        drained = drain(deadline)
        receive(sender, "late")
        return drained

    def let_it_end() -> None:
        server.may_close.set()
        interrupt()

    monkeypatch.setattr(sender, "drain", drain_then_receive)
    monkeypatch.setattr(outbox, "interrupt", let_it_end)
    assert sender.close(time.monotonic() + 10)
    assert outbox.wait_sent(time.monotonic() + 10, lambda: False)
    assert server.batches == [["late"]]


def test_a_record_that_comes_while_the_thread_still_ends_is_sent(outbox: Outbox) -> None:
    sender = Sender(outbox, server := SlowToClose(), Outgoing(), 0)  # type: ignore[arg-type]
    receive(sender, "early")
    assert outbox.wait_sent(time.monotonic() + 10, lambda: False)
    sender.close(time.monotonic())
    assert server.closing.wait(10)
    receive(sender, "late")
    server.may_close.set()
    assert outbox.wait_sent(time.monotonic() + 10, lambda: False)
    assert server.batches == [["early"], ["late"]]


def test_a_batch_that_takes_the_server_too_long_is_sent_in_parts(no_threads: None, outbox: Outbox) -> None:
    def refuse(batch: list[str]) -> None:
        if len(batch) > 2:
            raise psycopg.errors.QueryCanceled

    sender = Sender(outbox, server := Server(refuse), Outgoing(), 0)  # type: ignore[arg-type]
    for record in "abcdefg":
        outbox.put(record)
    assert sender.drain(time.monotonic() + 10)
    assert server.batches == [["a"], ["b", "c"], ["d", "e"], ["f", "g"]]


def test_a_record_that_takes_the_server_too_long_alone_is_kept(no_threads: None, outbox: Outbox) -> None:
    def refuse(batch: list[str]) -> None:
        if "b" in batch:
            raise psycopg.errors.QueryCanceled

    sender = Sender(outbox, server := Server(refuse), Outgoing(), 0)  # type: ignore[arg-type]
    for record in "abcd":
        outbox.put(record)
    assert not sender._send_next()
    rest = outbox.next_batch(10)
    assert rest is not None
    assert server.batches == [["a"]] and [item.record for item in rest.items] == ["b", "c", "d"]
    assert outbox.stats().refused == 0


def test_records_are_written_when_their_turn_comes_and_one_that_cannot_be_costs_one(
    no_threads: None, outbox: Outbox
) -> None:
    sender = Sender(outbox, server := Server(), Outgoing(), 0)  # type: ignore[arg-type]
    frozen = freeze(take({"standard_logging_object": {"id": "a"}, "litellm_call_id": "b"}, None))
    for record in (frozen, b"no frozen record", '{"id":"c"}'):
        outbox.put(record)
    assert sender.drain(time.monotonic() + 10)
    assert [[json.loads(text)["id"] for text in batch] for batch in server.batches] == [["a", "c"]]
    stats = outbox.stats()
    assert (stats.sent, stats.refused, stats.queued) == (2, 1, 0)
    outbox.put(b"no frozen record")
    assert sender.drain(time.monotonic() + 10) and len(server.batches) == 1
