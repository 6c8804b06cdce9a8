"""LiteLLM's own DATABASE_URL works as it is. If it cannot work, a line without the password says so."""

from __future__ import annotations

import psycopg
import pytest

from harness.database import Database

from .driving import GIVE_UP_SOON, Sdk, user_spend

REGISTER = "litellm.callbacks = [logger := SpendLogger()]\n"
CHECK = REGISTER + "health = logger.health_check(); say(ok=health.ok, problem=health.problem)\n"
PRISMA = "schema=public&connection_limit=10&pool_timeout=60&pgbouncer=true"


def with_parameters(url: str, parameters: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameters}"


def test_prismas_parameters_and_a_driver_cost_one_line(database: Database, litellm: Sdk) -> None:
    url = with_parameters(database.url.replace("postgresql://", "postgresql+psycopg2://"), PRISMA)
    ran = litellm.run_code(REGISTER + "call()", url=url)
    assert set(user_spend(database)) == {"user-0"}
    [line] = ran.log_lines()
    assert line.startswith("litellm_spend: INFO database URL: ")
    assert all(word in line for word in ("+psycopg2", "connection_limit", "pool_timeout", "pgbouncer", "schema"))


def test_another_schema_than_the_servers_is_told(database: Database, litellm: Sdk) -> None:
    url = with_parameters(database.url, "schema=litellm")
    ran = litellm.run_code(REGISTER + "call()", url=url)
    assert [line for line in ran.log_lines() if "WARNING" in line] == [
        "litellm_spend: WARNING the database URL says schema=litellm, but the server folds spend into schema public: "
        "set litellm_spend.target_schema = 'litellm' in the server, or correct the URL"
    ]


def test_an_unknown_parameter_costs_a_warning_and_nothing_else(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_code(REGISTER + "call()", url=with_parameters(database.url, "statement_timeot=needle-4711"))
    assert set(user_spend(database)) == {"user-0"}
    [line] = ran.log_lines()
    assert line.startswith("litellm_spend: WARNING the database URL has parameters") and "'statement_timeot'" in line
    assert "needle-4711" not in ran.log


def test_a_url_that_cannot_be_used_is_told_without_its_password(litellm: Sdk) -> None:
    url = "postgresql://app:needle-4711@127.0.0.1:1/none?sslaccept=perhaps"
    tried = "wait_until(lambda: logger.stats().last_error, 'a first attempt to send')"
    shown = "say(text=repr(logger) + str(logger.stats()))"
    ran = litellm.run_code(f"{GIVE_UP_SOON}{REGISTER}call()\n{tried}\n{shown}", url=url)
    assert "sslaccept must be strict or accept_invalid_certs" in ran.log_lines()[0]
    assert "needle-4711" not in ran.log + ran.sdk["text"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("SELECT 1", "GRANT litellm_spend_writer TO"),
        ("DROP EXTENSION litellm_spend", "CREATE EXTENSION litellm_spend"),
    ],
)
def test_a_missing_function_or_privilege_is_told_with_what_to_do(
    database: Database, litellm: Sdk, statement: str, problem: str
) -> None:
    database.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger-4711'")
    try:
        database.execute(statement)
        url = _as(database, "stranger", "stranger-4711")
        ran = litellm.run_code(GIVE_UP_SOON + CHECK + "call()", url=url)
        assert ran.sdk["ok"] is False and problem in ran.sdk["problem"]
        problems = [line for line in ran.log_lines() if "cannot record spend" in line]
        assert len(problems) == 1 and problem in problems[0]
    finally:
        database.execute("DROP ROLE stranger")


def test_records_refused_for_want_of_a_privilege_are_sent_once_it_is_there(database: Database, litellm: Sdk) -> None:
    database.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger-4711'")
    try:
        code = (
            REGISTER
            + """
import psycopg
call()
wait_until(lambda: logger.stats().retries, "an attempt to send failed")
with psycopg.connect(os.environ["OWNER_URL"]) as owner:
    owner.execute("GRANT litellm_spend_writer TO stranger")
# The problem counts as permanent, so a flush gives up early, and the next attempt comes later.
wait_until(lambda: logger.flush(1), "the record is sent")
"""
        )
        litellm.run_code(code, url=_as(database, "stranger", "stranger-4711"), OWNER_URL=database.url)
        assert set(user_spend(database)) == {"user-0"}
    finally:
        database.execute("DROP ROLE stranger")


def test_a_usable_url_is_healthy(database: Database, litellm: Sdk) -> None:
    assert litellm.run_code(CHECK, url=database.url).sdk == {"ok": True, "problem": None}


def _as(database: Database, user: str, password: str) -> str:
    return psycopg.conninfo.make_conninfo(database.url, user=user, password=password)
