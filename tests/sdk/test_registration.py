"""Each call is recorded once, however the callback is registered, and whatever is registered beside it."""

from __future__ import annotations

import re

import pytest

from harness.database import Database
from harness.postgres import PROJECT

from .driving import Sdk, assert_recorded, user_spend


@pytest.mark.parametrize("registration", ["name", "handler", "twice", "every_list"])
def test_each_call_is_recorded_once(database: Database, litellm: Sdk, registration: str) -> None:
    ran = litellm.run_scenario(database, "mixed", 10, registration)
    assert_recorded(database, ran.sdk)


@pytest.mark.parametrize("scenario", ["gathered", "completions"])
def test_the_earlier_name_in_success_callback_records_too(database: Database, litellm: Sdk, scenario: str) -> None:
    ran = litellm.run_scenario(database, scenario, 10, "other_name")
    assert_recorded(database, ran.sdk)


def test_opentelemetry_beside_it_exports_its_spans(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_scenario(database, "mixed", 10, "opentelemetry")
    assert_recorded(database, ran.sdk)
    assert ran.reported[1]["spans"] > 0


def test_two_loggers_with_two_databases_both_record(database: Database, other_database: Database, litellm: Sdk) -> None:
    code = """
litellm.callbacks = [SpendLogger(), SpendLogger(os.environ["OTHER_URL"])]
async def main():
    arguments = dict(model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}], user="user-1", mock_response="y")
    await asyncio.gather(*(litellm.acompletion(**arguments) for _ in range(10)))
call()
asyncio.run(main())
"""
    litellm.run_code(code, url=database.url, OTHER_URL=other_database.url)
    for one in (database, other_database):
        assert set(user_spend(one)) == {"user-0", "user-1"}
        assert one.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 11


@pytest.mark.parametrize("replaced_by", ["SpendLogger()", "SpendLogger(record_failures=True)"])
def test_a_logger_that_replaces_another_records_all_that_it_would_alone(
    database: Database, litellm: Sdk, replaced_by: str
) -> None:
    code = f"""
async def main():
    arguments = dict(model="gpt-4o-mini", messages=[{{"role": "user", "content": "x"}}], mock_response="y")
    await asyncio.gather(*(litellm.acompletion(user="user-1", **arguments) for _ in range(50)))

litellm.callbacks = [logger := SpendLogger()]
call()
wait_until(lambda: logger.stats().captured, "the first call is captured")
for name in ("input", "success", "failure", "_async_success", "_async_failure"):
    callbacks = getattr(litellm, name + "_callback")
    callbacks[:] = [other for other in callbacks if other is not logger]
litellm.callbacks = [{replaced_by}]
asyncio.run(main())
"""
    litellm.run_code(code, url=database.url)
    database.wait_folded()
    assert database.query('SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1') == [
        ("user-0", 1),
        ("user-1", 50),
    ]


def test_an_application_records_in_its_own_transaction_and_the_callback_adds_nothing(
    database: Database, litellm: Sdk
) -> None:
    code = """
import psycopg
from litellm.integrations.custom_logger import CustomLogger

class InMyTransaction(CustomLogger):
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        record = json.dumps(litellm_spend.spend_record(kwargs))
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute("SELECT litellm_record_spend(%s::jsonb)", (record,))

litellm.callbacks = [InMyTransaction(), SpendLogger()]
call()
"""
    litellm.run_code(code, url=database.url)
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 1
    assert database.value('SELECT api_requests::int FROM "LiteLLM_DailyUserSpend"') == 1


def test_the_module_that_a_proxys_config_names_records_failures(litellm: Sdk) -> None:
    [module] = re.findall(r"^```python\n(.*?)^```", (PROJECT / "docs" / "cutover.md").read_text(), re.M | re.S)
    ran = litellm.run_code(module + "say(handler=repr(handler))", url=None)
    assert ran.sdk == {"handler": "SpendLogger(destination=0, record_failures=True)"}


def test_the_logger_of_the_earlier_design_records_and_says_that_it_needs_no_redis(
    shared_database: Database, litellm: Sdk
) -> None:
    code = """
from litellm_spend import PrismaProxyLogger
loggers = [PrismaProxyLogger(redis_url="redis://:secret@nowhere:6379", use_redis_buffer=True) for _ in range(2)]
litellm.callbacks = [logger := loggers[0]]
call()
assert logger.flush() and logger.stats().sent == 1
"""
    assert litellm.run_code(code, url=shared_database.url).log_lines() == [
        "litellm_spend: WARNING PrismaProxyLogger needs no Redis: redis_url and use_redis_buffer have no effect and "
        "can be removed. To keep records while the server is away, name a spool_dir"
    ]
