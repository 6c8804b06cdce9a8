"""A failing statement that calls the recorder is not written to the server's log. Every other failing statement is."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from needles import Needles

from conftest import new_database
from harness.cluster import Cluster
from harness.records import spend_record


def literal(payload: Any) -> str:
    return "'" + json.dumps(payload).replace("'", "''") + "'::jsonb"


def failing_statements(needles: Needles) -> dict[str, str]:
    """Statements with a needle in a literal. Each fails with an error that is logged."""

    def bad(place: str) -> str:
        return literal(spend_record(startTime="yesterday", api_key=needles.key(place)))

    def good(place: str) -> str:
        return literal(spend_record(messages=[needles.prompt(place)]))

    def text(place: str) -> str:
        return bad(place).removesuffix("::jsonb")

    record = "SELECT litellm_record_spend"
    divide = "(1 / (random() * 0)::int)::text"
    return {
        "the inbox": f"INSERT INTO litellm_spend.inbox VALUES ({text('the inbox')} || {divide})",
        "the quoted inbox": f'INSERT INTO "litellm_spend"."inbox" VALUES ({text("the quoted inbox")} || {divide})',
        "an updatable view": f"INSERT INTO mail VALUES ({text('an updatable view')}), ({divide})",
        "an object": f"{record}({bad('an object')})",
        "an array": f"{record}({literal([spend_record(), spend_record(x=needles.key('an array')), 7])}, 'error')",
        "a string": f"{record}({literal(needles.key('a string'))})",
        "an unknown on_invalid": f"{record}({good('an unknown on_invalid')}, 'ignore')",
        "a later failure": f"{record}({good('a later failure')}), 1 / (random() * 0)::int",
        "several lines": f"{record}(\n{bad('several lines')}\n)",
        "two statements at once": f"SELECT 1; {record}({bad('two statements at once')})",
        "an insert": f"INSERT INTO notes {record}({bad('an insert')})",
        "a DO block": f"DO $$ BEGIN PERFORM litellm_record_spend({bad('a DO block')}); END $$",
        "dynamic SQL": f"DO $$ BEGIN EXECUTE $x$ {record}({bad('dynamic SQL')}) $x$; END $$",
    }


def test_a_failing_statement_that_records_is_not_logged_and_an_ordinary_one_is(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    database.execute("CREATE TABLE notes (n bigint)")
    database.execute("CREATE VIEW mail AS SELECT payload FROM litellm_spend.inbox")
    needles = Needles()
    with database.connect() as connection:
        for case, statement in failing_statements(needles).items():
            with pytest.raises(psycopg.Error) as error:
                connection.execute(statement)
            assert error.value.diag.message_primary in own_cluster.log(), f"the error of {case} is not in the log"
            # In the same session, after a statement that was hidden.
            ordinary = f"SELECT 1 / 0 AS after_{case.replace(' ', '_')}"
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute(ordinary)
            assert f"STATEMENT:  {ordinary}" in own_cluster.log()
    assert needles.find(own_cluster) == {}
