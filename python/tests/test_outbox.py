"""Every captured record is queued, in flight, sent, refused, filtered, set aside or dropped, and counted as such."""

from __future__ import annotations

import threading
import time

from litellm_spend._delivery.outbox import Batch, Outbox


def take(outbox: Outbox) -> Batch:
    batch = outbox.next_batch(outbox.batch_size)
    assert batch is not None
    return batch


def records(batch: Batch) -> list[str | bytes]:
    return [item.record for item in batch.items]


def never() -> bool:
    return False


def test_a_batch_that_is_put_back_keeps_its_order() -> None:
    outbox = Outbox(max_queue=10, batch_size=3)
    for record in "abcde":
        assert outbox.put(record)
    batch = take(outbox)
    assert records(batch) == ["a", "b", "c"] and outbox.pending() == 5
    outbox.put_back(batch, "away")
    batch = take(outbox)
    assert records(batch) == ["a", "b", "c"]
    outbox.settle(batch.part(batch.items[:2]), rejected=1)
    outbox.settle(batch.part(batch.items[2:]), refused=True)
    stats = outbox.stats()
    assert (stats.captured, stats.queued, stats.sent, stats.rejected, stats.refused) == (5, 2, 2, 1, 1)
    assert stats.retries == 1 and stats.last_error is None


def test_a_full_queue_drops_what_comes_and_counts_what_is_on_its_way() -> None:
    outbox = Outbox(max_queue=2, batch_size=2)
    outbox.put("a")
    take(outbox)
    assert [outbox.put("b"), outbox.put("c")] == [True, False]
    assert outbox.stats().dropped == 1


def test_one_batch_is_bounded_in_bytes() -> None:
    outbox = Outbox(max_queue=100, batch_size=100)
    for _ in range(10):
        outbox.put("x" * 4_000_000)
    assert len(take(outbox).items) == 2


def test_the_sender_is_behind_while_a_whole_batch_waits() -> None:
    outbox = Outbox(max_queue=10, batch_size=2)
    behind = []
    for record in "ab":
        outbox.put(record)
        behind.append(outbox.is_behind())
    take(outbox)
    assert [*behind, outbox.is_behind()] == [False, True, False]


def test_a_waiter_waits_for_what_was_queued_before_and_for_nothing_else() -> None:
    outbox = Outbox(max_queue=10, batch_size=1)
    outbox.put("a")
    assert not outbox.wait_sent(time.monotonic() + 0.01, never)
    begun, later = threading.Event(), threading.Event()

    def send() -> None:
        assert begun.wait(10)
        outbox.put("later")
        outbox.settle(take(outbox))
        later.set()

    threading.Thread(target=send).start()

    def begin() -> bool:
        begun.set()
        return False

    assert outbox.wait_sent(time.monotonic() + 10, begin)
    assert later.wait(10) and outbox.pending() == 1


def test_a_waiter_gives_up_what_is_hopeless() -> None:
    outbox = Outbox(max_queue=10, batch_size=10)
    outbox.put("a")
    assert not outbox.wait_sent(time.monotonic() + 600, lambda: True)


def test_a_record_that_is_given_up_on_its_way_is_told_once() -> None:
    outbox = Outbox(max_queue=10, batch_size=1)
    outbox.put("{}")
    outbox.put("{}")
    take(outbox)
    assert [outbox.drop_all(), outbox.drop_all()] == [2, 0]


def test_a_filtered_record_is_no_longer_queued_and_says_nothing_of_the_server() -> None:
    outbox = Outbox(max_queue=10, batch_size=2)
    outbox.put("a")
    outbox.put("b")
    outbox.put_back(take(outbox), "away")
    batch = take(outbox)
    outbox.settle(batch.part(batch.items[:1]), filtered=True)
    stats = outbox.stats()
    assert (stats.filtered, stats.queued, stats.sent, stats.last_error) == (1, 1, 0, "away")
