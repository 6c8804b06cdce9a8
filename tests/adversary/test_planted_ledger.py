"""Somebody who may create tables in LiteLLM's schema creates one with the name of LiteLLM's ledger, where LiteLLM has
none yet. Nothing of that table runs with the rights of the role that owns LiteLLM's tables (invariant 10)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record

LOW = "ledger_low"
WEEK = {"budget_duration": "7d", "reset_at": "2026-03-05T00:00:00Z"}
# Postgres evaluates the expression of the index to plan a statement. The log shows whose rights the expression had,
# even if its work is rolled back.
PLANTED = """
    CREATE FUNCTION public.climb() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE LOG 'planted code ran as <%>', current_user; RETURN 1; END $$;
    CREATE FUNCTION public.quiet(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN RETURN public.climb(); END $$;
    CREATE TABLE public."LiteLLM_SpendLogDelivery" (delivery_id text PRIMARY KEY, request_id text, state text);
    CREATE INDEX ON public."LiteLLM_SpendLogDelivery" (request_id, public.quiet(1));
    GRANT SELECT ON public."LiteLLM_SpendLogDelivery" TO PUBLIC"""
RAN_AS = re.compile(r"planted code ran as <(\w+)>")
REFUSED = "does not have the rights of the owner of"


@pytest.fixture
def planted() -> Iterator[Database]:
    with Cluster() as cluster:
        cluster.execute(f"CREATE ROLE {LOW} LOGIN")
        database = new_database(cluster)
        database.execute(f'DROP TABLE "LiteLLM_SpendLogDelivery"; GRANT CREATE ON SCHEMA public TO {LOW}')
        with database.connect(user=LOW) as low:
            low.execute(PLANTED)
        statement = "INSERT INTO \"LiteLLM_TeamTable\" (team_id, budget_limits) VALUES ('t', %s)"
        database.execute(statement, json.dumps([WEEK]))
        yield database
        database.close()


def test_a_planted_ledger_runs_nothing_and_is_named(planted: Database) -> None:
    records = [spend_record(team_id="t")]
    planted.record(records)
    planted.wait_for(f"SELECT last_error LIKE '%{REFUSED}%' FROM litellm_spend.status", True)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=REFUSED) as refusal:
        planted.query("SELECT * FROM litellm_spend.verify('2026-03-01', '2026-03-01')")
    assert "one owner" in (refusal.value.diag.message_hint or "")
    # The sessions of the role that created the table do run its expression.
    assert set(RAN_AS.findall(planted.cluster.log())) == {LOW}
    planted.execute('DROP TABLE "LiteLLM_SpendLogDelivery"')
    planted.wait_folded()
    assert_counted(planted, records)
