"""What the sender does with batches that fail, and with the time that it has."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from litellm_spend.outbox import Outbox
from litellm_spend.sender import Sender

URL = "postgresql://app@a,b/x"


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(max_queue=100, batch_size=100)


@pytest.fixture
def sender(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> Sender:
    """A sender that cannot start its thread, as at interpreter shutdown."""
    monkeypatch.setattr(Sender, "ensure_running", lambda self: None)
    return Sender(URL, outbox, flush_interval=0)


def test_connecting_at_exit_takes_no_longer_than_there_is_time(
    sender: Sender, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    ends: list[float] = []

    def connect(*_: Any, connect_timeout: float = 10, **__: Any) -> None:
        nonlocal now
        now += 2 * connect_timeout  # of each host
        ends.append(now)
        raise psycopg.OperationalError("timeout expired")

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    outbox.put("{}")
    assert not sender.drain(deadline=now + 5)
    assert ends == [1004.0]
