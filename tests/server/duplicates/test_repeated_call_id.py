"""LiteLLM names a request by its call id if the provider gave no id. Its start tells it from another request with that
call id. The same record again is a duplicate (invariant 3)."""

from __future__ import annotations

import pytest

from harness.database import Database
from harness.records import DAY, assert_counted, logged, totals, unnamed
from harness.remembering import send, write_proxy_row

DUPLICATES = "SELECT duplicates FROM litellm_spend.status"
REUSED = "SELECT reused_ids FROM litellm_spend.status"


def test_three_images_under_one_call_id_are_three_requests(database: Database) -> None:
    images = [unnamed(at, spend) for at, spend in ((0, 0.25), (1, 0.5), (2500, 1.0))]
    send(database, *images[:2])
    send(database, images[2])
    assert_counted(database, [images[0], logged(images[1], 1), logged(images[2], 2500)])
    assert (database.value(REUSED), database.value(DUPLICATES)) == (2, 0)


def test_a_record_that_is_sent_again_is_a_duplicate_in_any_order_and_batch(database: Database) -> None:
    first, second, third = (unnamed(at, spend) for at, spend in ((0, 0.25), (1, 0.5), (2, 1.0)))
    send(database, first, second, second)
    send(database, second, first)
    send(database, third, second, third)
    send(database, third, first)
    # A row's own id is known too.
    send(database, logged(second, 1))
    assert_counted(database, [first, logged(second, 1), logged(third, 2)])
    assert database.value(DUPLICATES) == 8


def test_requests_of_one_millisecond_are_one(database: Database) -> None:
    first = unnamed(1)
    send(database, first, {**first, "startTime": f"{DAY}T12:00:00.001499Z"})
    send(database, {**first, "startTime": f"{DAY}T12:00:00.000500Z"})
    assert_counted(database, [first])
    assert database.value(DUPLICATES) == 2


@pytest.mark.parametrize(
    "id_", ["resp_1_background_cost", "v_video_cost", "c_guardrail_cost", "job-7_attempt1772366400.5"]
)
def test_an_id_that_was_made_for_a_cost_or_an_attempt_counts_once(database: Database, id_: str) -> None:
    polls = [unnamed(at, call_id=id_) for at in range(0, 5000, 1000)]
    send(database, *polls[:3])
    send(database, *polls[3:])
    assert_counted(database, polls[:1])
    assert database.value(DUPLICATES) == 4


def test_a_batch_that_is_retrieved_five_times_is_charged_once(database: Database) -> None:
    polls = [unnamed(at, call_id="batch_1_batch_cost", call_type="aretrieve_batch") for at in range(0, 5000, 1000)]
    send(database, *polls[:3])
    send(database, *polls[3:])
    assert_counted(database, polls[:1])
    assert database.value(DUPLICATES) == 4


def test_a_log_without_the_column_of_call_ids_tells_them_apart_too(database: Database) -> None:
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP COLUMN litellm_call_id')
    first, second = unnamed(0), unnamed(1000, 0.5)
    send(database, first)
    send(database, second, first)
    send(database, second)
    assert_counted(database, [first, logged(second, 1000)])


def test_a_request_that_the_proxy_logged_counts_nowhere_again_unless_it_started_at_another_time(
    database: Database,
) -> None:
    ours = {**unnamed(0, 0.5), "startTime": f"{DAY}T12:00:00.123800Z"}
    later = unnamed(1000, 1.0)
    # Prisma cuts a time to milliseconds, but Postgres rounds it.
    write_proxy_row(database, ours, f"{DAY} 12:00:00.123")
    send(database, ours)
    send(database, later, ours)
    actual = totals(database)
    assert (actual["logs"], actual["daily user"]) == ((2, 1.25), (1, 1.0))
    assert (database.value(REUSED), database.value(DUPLICATES)) == (1, 2)


def test_a_row_that_names_no_call_holds_its_id_whenever_a_request_started(database: Database) -> None:
    nameless = unnamed(0)
    del nameless["litellm_call_id"]
    send(database, nameless)
    send(database, unnamed(1000))
    assert_counted(database, [nameless])
    assert database.value(DUPLICATES) == 1
