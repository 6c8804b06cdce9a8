"""One record that the database refuses costs one record (invariant 7). Refusals that cost no record are in
../targets/test_environment.py."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records

REFUSE = """CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF {condition} THEN RAISE 'not this one' {sqlstate}; END IF; RETURN NEW; END $$;"""


class Poison(NamedTuple):
    """How a database refuses a record, the fields of that record, and the SQLSTATE."""

    rule: str
    fields: dict
    sqlstate: str


KINDS = {
    "check on the log": Poison(
        'ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT c CHECK (spend < 1000)', {"spend": 4096.0}, "23514"
    ),
    "check on a daily sum": Poison(
        'ALTER TABLE "LiteLLM_DailyTagSpend" ADD CONSTRAINT c CHECK (spend < 100000)', {"spend": 1e6}, "23514"
    ),
    "check on an id": Poison(
        'ALTER TABLE "LiteLLM_UserTable" ADD CONSTRAINT c CHECK (user_id <> $$mallory$$)',
        {"user": "mallory"},
        "23514",
    ),
    "trigger": Poison(
        REFUSE.format(condition="NEW.team_id = 'bad'", sqlstate="")
        + 'CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_DailyTeamSpend" FOR EACH ROW EXECUTE FUNCTION public.refuse()',
        {"team_id": "bad"},
        "P0001",
    ),
    "trigger with a SQLSTATE of its own": Poison(
        REFUSE.format(condition="NEW.tag_name = 'bad'", sqlstate="USING ERRCODE = 'AB123'")
        + 'CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_TagTable" FOR EACH ROW EXECUTE FUNCTION public.refuse()',
        {"request_tags": ["bad"]},
        "AB123",
    ),
    "deferred trigger": Poison(
        REFUSE.format(condition="NEW.model = 'bad'", sqlstate="")
        + 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON "LiteLLM_SpendLogs" DEFERRABLE INITIALLY DEFERRED'
        " FOR EACH ROW EXECUTE FUNCTION public.refuse()",
        {"model": "bad"},
        "P0001",
    ),
    "foreign key": Poison(
        "CREATE TABLE public.models (model text PRIMARY KEY); INSERT INTO public.models VALUES ('gpt-4o-mini');"
        ' ALTER TABLE "LiteLLM_SpendLogs" ADD FOREIGN KEY (model) REFERENCES public.models',
        {"model": "unheard-of"},
        "23503",
    ),
    "too long": Poison(
        'ALTER TABLE "LiteLLM_SpendLogs" ALTER COLUMN model TYPE varchar(40)', {"model": "m" * 41}, "22001"
    ),
    "out of range": Poison(
        'ALTER TABLE "LiteLLM_SpendLogs" ALTER COLUMN spend TYPE numeric(6, 2)', {"spend": 1e6}, "22003"
    ),
    "too large for an index": Poison(
        'CREATE INDEX ON "LiteLLM_SpendLogs" ((metadata ->> $$spend_logs_metadata$$))',
        {"metadata": {"spend_logs_metadata": {str(n): str(hash((n, "x"))) for n in range(2000)}}},
        "54000",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_record_among_many_is_rejected(database: Database, tell, kind: str) -> None:
    assert_one_is_rejected(database, tell, kind, 300)


@pytest.mark.stress
@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_record_in_ten_thousand_is_rejected(database: Database, tell, kind: str) -> None:
    assert_one_is_rejected(database, tell, kind, 10_000)


def assert_one_is_rejected(database: Database, tell, kind: str, count: int) -> None:
    poison = KINDS[kind]
    database.execute(poison.rule)
    good = spend_records(count - 1)
    middle = count // 3
    assert database.record([*good[:middle], spend_record(request_id="bad", **poison.fields), *good[middle:]]) == count
    database.wait_folded("120 s")
    assert_counted(database, good)
    [rejected] = database.rows("SELECT sqlstate, message, payload ->> 'request_id' AS id FROM litellm_spend.rejected")
    assert (rejected["sqlstate"], rejected["id"]) == (poison.sqlstate, "bad") and rejected["message"]
    status = database.status()
    assert (status["folded"], status["rejected"], status["last_error"]) == (count - 1, 1, None)
    tell("poison", f"{kind}: 1 bad in {count}: rejected {status['rejected']}, counted {status['folded']}")


def test_a_bad_record_that_comes_alone_is_rejected(database: Database) -> None:
    database.execute(KINDS["check on the log"].rule)
    database.record(spend_record(request_id="bad", spend=4096.0))
    database.wait_folded()
    good = spend_records(3)
    database.record(good)
    database.wait_folded()
    assert_counted(database, good)
    assert database.query("SELECT sqlstate FROM litellm_spend.rejected") == [("23514",)]


def test_fold_rejects_as_the_worker_does_and_in_the_same_transaction(database: Database) -> None:
    database.execute(KINDS["check on the log"].rule)
    good = spend_records(20)
    with database.held_fold():
        database.record([spend_record(request_id="bad", spend=4096.0), *good])
    database.fold()
    database.wait_folded()
    assert_counted(database, good)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 1


@pytest.mark.parametrize("count", [11, 60])
def test_any_number_of_bad_records_is_rejected_if_good_ones_pass(database: Database, count: int) -> None:
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT c CHECK (spend >= 0)')
    good = spend_records(50)
    bad = spend_records(count, "bad", spend=-1.0)
    database.record([*bad[:5], *good[:25], *bad[5:], *good[25:]])
    database.wait_folded()
    assert_counted(database, good)
    rejected = "SELECT sqlstate, count(*) FROM litellm_spend.rejected GROUP BY 1"
    assert database.query(rejected) == [("23514", count)]


def test_records_that_fit_alone_and_not_together_lose_just_the_one_too_many(database: Database) -> None:
    database.execute('ALTER TABLE "LiteLLM_TeamTable" ADD CONSTRAINT c CHECK (spend <= 3)')
    records = spend_records(13)  # 3.25 in all
    database.record(records)
    database.wait_folded()
    [(rejected,)] = database.query("SELECT payload ->> 'request_id' FROM litellm_spend.rejected")
    assert_counted(database, [record for record in records if record["request_id"] != rejected])
