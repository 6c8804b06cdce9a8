"""The same request id counts once. A known id with another call id is another request."""

from __future__ import annotations

from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records, totals
from harness.remembering import write_proxy_row


def test_the_same_request_id_twice_in_one_array_counts_once(database: Database) -> None:
    record, other = spend_records(2)
    assert database.record([record, other, record]) == 3
    database.wait_folded()
    assert_counted(database, [record, other])
    database.wait_for("SELECT duplicates FROM litellm_spend.status", 1)


def test_the_same_request_id_in_a_later_batch_counts_once(database: Database) -> None:
    record, other = spend_records(2)
    database.record(record)
    database.wait_folded()
    database.record([other, record])
    database.wait_folded()
    database.record(record)
    database.wait_folded()
    assert_counted(database, [record, other])
    database.wait_for("SELECT duplicates FROM litellm_spend.status", 2)


def test_a_request_that_the_proxy_already_logged_counts_nowhere_again(database: Database) -> None:
    known, new = spend_records(2)
    write_proxy_row(database, known)
    database.record([known, new])
    database.wait_folded()
    actual = totals(database)
    assert actual["logs"] == (2, 0.5)
    assert {name: value for name, value in actual.items() if name != "logs"} == {
        "daily user": (1, 0.25),
        "daily team": (1, 0.25),
        "daily tag": (1, 0.25),
        "user": (None, 0.25),
        "team": (None, 0.25),
        "tag": (None, 0.25),
    }
    database.wait_for("SELECT duplicates FROM litellm_spend.status", 1)


def test_a_known_id_with_another_call_id_is_counted_under_both(database: Database) -> None:
    first = spend_record(request_id="reused")
    second = spend_record(request_id="reused", spend=0.5)
    database.record(first)
    database.wait_folded()
    database.record(second)
    database.wait_folded()
    assert_counted(database, [first, {**second, "request_id": f"reused#{second['litellm_call_id']}"}])
    database.wait_for("SELECT reused_ids FROM litellm_spend.status", 1)


def test_a_reused_id_inside_one_batch_is_counted_under_both_and_its_repetition_once(database: Database) -> None:
    first = spend_record(request_id="reused")
    second = spend_record(request_id="reused", spend=0.5)
    database.record([first, second, second, first])
    database.wait_folded()
    database.record([second, first])
    database.wait_folded()
    assert_counted(database, [first, {**second, "request_id": f"reused#{second['litellm_call_id']}"}])
    database.wait_for("SELECT duplicates FROM litellm_spend.status", 4)


def test_a_reused_id_of_a_request_the_proxy_logged_is_counted(database: Database) -> None:
    proxy = spend_record(request_id="reused")
    ours = spend_record(request_id="reused", spend=0.5)
    write_proxy_row(database, proxy)
    database.record(ours)
    database.wait_folded()
    actual = totals(database)
    assert actual["logs"] == (2, 0.75)
    assert actual["daily user"] == (1, 0.5)
