"""Defaults are charged for calls that say nothing themselves, and give way to the call and to the row of its key."""

from __future__ import annotations

from sdk.driving import Sdk

from harness.database import Database

REGISTER = """
litellm.callbacks = [logger := SpendLogger(
    default_team="default-team", default_tags=["default"], default_metadata={"stage": "test", "app": "default"}
)]
async def acall(**arguments):
    messages = [{"role": "user", "content": "x"}]
    return await litellm.acompletion(model="gpt-4o-mini", messages=messages, mock_response="y", **arguments)
"""
LOGGED = """
SELECT "user", team_id, request_tags, metadata -> 'spend_logs_metadata' FROM "LiteLLM_SpendLogs" ORDER BY 1"""


def test_a_call_has_the_defaults_that_it_does_not_say_itself(database: Database, litellm: Sdk) -> None:
    code = """
own = {"team_id": "own-team", "tags": ["own", "default"], "spend_logs_metadata": {"app": "own"}}
async def main():
    async for _ in await acall(user="4", stream=True):
        pass
    await acall(user="3", metadata={"spend_logs_metadata": {"job": 7}})
    await logger.aflush()
call(user="1")
call(user="2", metadata=own)
asyncio.run(main())
"""
    litellm.run_code(REGISTER + code, url=database.url)
    database.wait_folded()
    defaults = {"stage": "test", "app": "default"}
    assert database.query(LOGGED) == [
        ("1", "default-team", ["default"], defaults),
        ("2", "own-team", ["own", "default"], {"stage": "test", "app": "own"}),
        ("3", "default-team", ["default"], {**defaults, "job": 7}),
        ("4", "default-team", ["default"], defaults),
    ]
    charged = dict(database.query('SELECT team_id, spend FROM "LiteLLM_TeamTable"'))
    assert charged["default-team"] > charged["own-team"] > 0
    tagged = dict(database.query('SELECT tag, sum(api_requests)::int FROM "LiteLLM_DailyTagSpend" GROUP BY 1'))
    assert tagged == {"default": 4, "own": 1}


def test_the_row_of_a_calls_key_decides_before_the_default(database: Database, litellm: Sdk) -> None:
    database.execute(
        """INSERT INTO "LiteLLM_VerificationToken" (token, team_id, user_id)
           VALUES (encode(sha256('sk-1'), 'hex'), 'team of the key', 'user of the key')"""
    )
    litellm.run_code(REGISTER + 'call(user=None, metadata={"user_api_key": "sk-1"})', url=database.url)
    database.wait_folded()
    assert database.query('SELECT "user", team_id FROM "LiteLLM_SpendLogs"') == [("user of the key", "team of the key")]


def test_spend_record_knows_no_logger_and_so_no_defaults(newest: Sdk) -> None:
    code = """
from litellm.integrations.custom_logger import CustomLogger
class Witness(CustomLogger):
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        say(tags=litellm_spend.spend_record(kwargs, response_obj)["request_tags"])
litellm.callbacks.append(Witness())
call()
"""
    assert newest.run_code(REGISTER + code, url=None, LITELLM_SPEND_EXIT_TIMEOUT="0").sdk == {"tags": []}
