"""Records that name ever new entities create a bounded number of rows per hour, and all their spend still counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import discard, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import counted, spend_record

LIMIT = 5
USERS = 'SELECT user_id, spend FROM "LiteLLM_UserTable" ORDER BY user_id COLLATE "C"'
DAILY = 'SELECT count(DISTINCT user_id), sum(spend), sum(api_requests) FROM "LiteLLM_DailyUserSpend"'


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    with Cluster({"litellm_spend.max_new_entities": str(LIMIT)}) as cluster:
        yield cluster


@pytest.fixture
def database(guarded: Cluster) -> Iterator[Database]:
    database = own_schema_database(guarded)
    yield database
    discard(database)


def spend_of(database: Database, *users: str) -> None:
    """Record and fold one request of each user in one transaction, without any other entity."""
    database.record([spend_record(user=user, team_id=None, request_tags=[]) for user in users])
    database.wait_folded()


def end_of_the_hour(database: Database) -> None:
    database.execute("UPDATE litellm_spend.new_entities SET hour = hour - interval '1 hour'")


def names(*numbers: int) -> list[str]:
    return [f"u{number:02}" for number in numbers]


def test_of_one_batch_the_first_ids_get_their_rows_and_all_spend_counts(database: Database) -> None:
    spend_of(database, *reversed(names(*range(20))))
    assert database.query(USERS) == [(name, 0.25) for name in names(*range(LIMIT))]
    assert database.query(DAILY) == [(20, 5.0, 20)]
    assert counted(database) == 20
    status = database.status()
    assert status["entities_not_created"] == 15
    assert "litellm_spend.max_new_entities" in status["advice"]


def test_the_limit_holds_over_batches_kinds_and_a_restart_and_rows_that_exist_are_charged(
    guarded: Cluster, database: Database
) -> None:
    spend_of(database, *names(1, 2))
    database.record(spend_record(user="u01", team_id="a-team", request_tags=["tag"]))
    database.wait_folded()
    guarded.restart()
    spend_of(database, *names(0, 9, 1))
    spend_of(database, *names(2, 3, 9))
    assert database.query(USERS) == [("u00", 0.25), ("u01", 0.75), ("u02", 0.5)]
    assert database.query('SELECT team_id, spend FROM "LiteLLM_TeamTable"') == [("a-team", 0.25)]
    assert database.query('SELECT tag_name, spend FROM "LiteLLM_TagTable"') == [("tag", 0.25)]
    assert database.query(DAILY) == [(5, 2.25, 9)]
    assert database.status()["entities_not_created"] == 3


def test_the_next_hour_has_room_again(database: Database) -> None:
    spend_of(database, *names(*range(7)))
    spend_of(database, "u06")
    assert len(database.query(USERS)) == LIMIT
    end_of_the_hour(database)
    spend_of(database, *names(0, 6, *range(10, 20)))
    made = names(6, 10, 11, 12, 13)
    charged = {"u00": 0.5}
    assert database.query(USERS) == [(name, charged.get(name, 0.25)) for name in [*names(*range(LIMIT)), *made]]
    assert database.query(DAILY) == [(17, 5.0, 20)]


def test_a_row_that_cannot_be_made_does_not_use_up_the_limit(database: Database) -> None:
    database.execute("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER refuse BEFORE INSERT ON "LiteLLM_UserTable" FOR EACH ROW
            WHEN (NEW.user_id = 'refused') EXECUTE FUNCTION public.refuse()""")
    for _ in range(LIMIT + 1):
        spend_of(database, "refused")
    spend_of(database, *names(*range(LIMIT)))
    assert [name for name, _ in database.query(USERS)] == names(*range(LIMIT))
    assert database.status()["entities_not_created"] == 0
    assert database.status()["advice"] is None


@pytest.mark.parametrize(("limit", "made"), [(0, 0), (-1, 20)])
def test_zero_makes_no_row_and_minus_one_has_no_limit(limit: int, made: int) -> None:
    with Cluster({"litellm_spend.max_new_entities": str(limit)}) as cluster:
        database = own_schema_database(cluster)
        spend_of(database, *names(*range(20)))
        assert len(database.query(USERS)) == made
        assert database.query(DAILY) == [(20, 5.0, 20)]
        assert database.status()["entities_not_created"] == (0 if made else 20)
