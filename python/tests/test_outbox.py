"""Every record that was put into the outbox is queued, in flight, sent, refused or dropped, and counted as such."""

from __future__ import annotations

import threading
import time

from litellm_spend._delivery.outbox import Outbox


def test_a_batch_that_is_put_back_keeps_its_order() -> None:
    outbox = Outbox(max_queue=10, batch_size=3)
    for record in "abcde":
        assert outbox.put(record)
    batch = outbox.next_batch()
    assert batch == ["a", "b", "c"] and outbox.pending() == 5
    outbox.put_back(batch, "away")
    assert outbox.next_batch() == ["a", "b", "c"]
    outbox.settle(sent=2, rejected=1)
    outbox.settle(refused=1)
    stats = outbox.stats()
    assert (stats.captured, stats.queued, stats.sent, stats.rejected, stats.refused) == (5, 2, 2, 1, 1)
    assert stats.retries == 1 and stats.last_error is None


def test_a_full_queue_drops_what_comes_and_counts_what_is_on_its_way() -> None:
    outbox = Outbox(max_queue=2, batch_size=2)
    outbox.put("a")
    outbox.next_batch()
    assert [outbox.put("b"), outbox.put("c")] == [True, False]
    assert outbox.stats().dropped == 1


def test_one_batch_is_bounded_in_bytes() -> None:
    outbox = Outbox(max_queue=100, batch_size=100)
    for _ in range(10):
        outbox.put("x" * 4_000_000)
    assert len(outbox.next_batch()) == 2


def test_the_sender_is_behind_while_a_whole_batch_waits() -> None:
    outbox = Outbox(max_queue=10, batch_size=2)
    behind = []
    for record in "ab":
        outbox.put(record)
        behind.append(outbox.is_behind())
    outbox.next_batch()
    assert [*behind, outbox.is_behind()] == [False, True, False]


def test_a_waiter_is_told_when_the_queue_is_empty() -> None:
    outbox = Outbox(max_queue=10, batch_size=10)
    outbox.put("a")
    assert not outbox.wait_empty(time.monotonic() + 0.01)

    def send() -> None:
        outbox.settle(sent=len(outbox.next_batch()))

    threading.Thread(target=send).start()
    assert outbox.wait_empty(time.monotonic() + 10)


def test_a_record_that_is_given_up_on_its_way_is_told_once() -> None:
    outbox = Outbox(max_queue=10, batch_size=1)
    outbox.put("{}")
    outbox.put("{}")
    outbox.next_batch()
    assert [outbox.drop_all(), outbox.drop_all()] == [2, 0]
