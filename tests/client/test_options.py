"""The options of the callback reach it by argument and by variable, however it is registered."""

from __future__ import annotations

import pytest
from sdk.driving import Sdk

from harness.database import Database

REGISTRATIONS = {
    "object": "litellm.callbacks = [SpendLogger()]\n",
    "name": "litellm.callbacks = ['litellm_spend']\n",
    "earlier name": "litellm.success_callback = ['prisma_proxy']\n",
    "handler": "litellm.callbacks = [litellm_spend.handler]\n",
}
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.mark.parametrize("registration", REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_variables_reach_every_registration(database: Database, litellm: Sdk, registration: str) -> None:
    ran = litellm.run_code(
        registration + "call()",
        url=NOWHERE,
        LITELLM_SPEND_DATABASE_URL=database.url,
        LITELLM_SPEND_DEFAULT_TEAM="research",
        LITELLM_SPEND_DEFAULT_TAGS="one, two",
        LITELLM_SPEND_DEFAULT_METADATA='{"stage": "test"}',
    )
    assert ran.log_lines() == []
    database.wait_folded()
    [(team, tags, metadata)] = database.query(
        """SELECT team_id, request_tags, metadata -> 'spend_logs_metadata' FROM "LiteLLM_SpendLogs" """
    )
    assert (team, tags, metadata) == ("research", ["one", "two"], {"stage": "test"})


def test_an_argument_counts_before_its_variable(database: Database, newest: Sdk) -> None:
    code = """
litellm.callbacks = [SpendLogger(os.environ["URL"], default_team="of the argument")]
call()
"""
    newest.run_code(
        code,
        url=NOWHERE,
        URL=database.url,
        LITELLM_SPEND_DATABASE_URL=NOWHERE,
        LITELLM_SPEND_DEFAULT_TEAM="of the variable",
    )
    database.wait_folded()
    assert database.value('SELECT team_id FROM "LiteLLM_SpendLogs"') == "of the argument"


@pytest.mark.parametrize("registration", REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_a_wrong_variable_is_told_once_and_the_call_is_recorded(
    database: Database, litellm: Sdk, registration: str
) -> None:
    ran = litellm.run_code(
        registration + "call()\ncall()\nSpendLogger()",
        url=database.url,
        LITELLM_SPEND_BATCH_SIZE="needle",
        LITELLM_SPEND_RECORD_FAILURES="needle",
    )
    wrong = "litellm_spend: ERROR the environment variable LITELLM_SPEND_"
    assert ran.log_lines() == [
        f"{wrong}BATCH_SIZE must be a whole number from 1 to 1000000: correct it. Until then the default is used: 500",
        f"{wrong}RECORD_FAILURES must be on or off: correct it. Until then the default is used: off",
    ]
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 2


def test_a_wrong_argument_is_refused_when_the_logger_is_created(newest: Sdk) -> None:
    code = """
from litellm_spend.testing import MemorySink
for options in (dict(record_failures="yes"), dict(batch_size=0), dict(sink=[]), dict(sink=MemorySink)):
    try:
        SpendLogger(**options)
    except ValueError as error:
        say(error=str(error))
"""
    assert [line["error"] for line in newest.run_code(code, url=None).reported] == [
        "SpendLogger(...): record_failures must be True or False",
        "SpendLogger(...): batch_size must be a whole number from 1 to 1000000",
        "SpendLogger(...): sink must be a litellm_spend.testing.MemorySink",
        "SpendLogger(...): sink must be a litellm_spend.testing.MemorySink",
    ]


def test_each_option_is_an_argument_and_no_argument_is_missing(newest: Sdk) -> None:
    code = """
import dataclasses, inspect
from litellm_spend._settings import Settings
parameters = inspect.signature(SpendLogger).parameters
say(
    options=[option.name for option in dataclasses.fields(Settings)],
    arguments=[name for name in parameters if name != "sink"],
    defaults=[parameter.default for parameter in parameters.values()],
)
"""
    [said] = newest.run_code(code, url=None).reported
    assert sorted(said["arguments"]) == sorted(said["options"])
    assert set(said["defaults"]) == {None}


@pytest.mark.parametrize("registration", REGISTRATIONS.values(), ids=REGISTRATIONS)
def test_a_logger_that_is_off_records_nothing_and_leaves_nothing_behind(
    database: Database, litellm: Sdk, registration: str
) -> None:
    code = """
import signal
async def main():
    arguments = dict(model="gpt-4o-mini", messages=[{"role": "user", "content": "x"}], mock_response="y")
    await litellm.acompletion(**arguments)
    async for _ in await litellm.acompletion(stream=True, **arguments):
        pass
    return await logger.aflush()
call()
try:
    litellm.completion(model="gpt-4o-mini", messages=[], mock_response=Exception("fails"))
except Exception:
    pass
logger = litellm_spend._registered_logger()
# Not with asyncio.run, which LiteLLM 1.79 can hang for ever on its own.
aflushed = asyncio.new_event_loop().run_until_complete(main())
say(
    aflush=aflushed, flush=logger.flush(), close=logger.close(), captured=logger.stats().captured,
    handles_sigterm=signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
    threads=[thread.name for thread in threading.enumerate() if thread.name == "litellm_spend"],
    callbacks=[type(callback).__name__ for callback in litellm.success_callback if not isinstance(callback, str)],
)
"""
    ran = litellm.run_code(registration + code, url=database.url, LITELLM_SPEND_ENABLED="off")
    said = ran.sdk
    assert "SyncDelivery" not in said.pop("callbacks")
    assert said == {
        "aflush": True,
        "flush": True,
        "close": True,
        "captured": 0,
        "handles_sigterm": False,
        "threads": [],
    }
    assert ran.log_lines() == []
    assert database.value("SELECT count(*) FROM litellm_spend.staging") == 0


def test_exit_timeout_says_how_long_the_end_of_the_process_waits(newest: Sdk) -> None:
    def seconds(exit_timeout: float) -> float:
        code = f"""
litellm.callbacks = [SpendLogger(exit_timeout={exit_timeout}), SpendLogger(exit_timeout=0.0)]
call()
wait_until(lambda: litellm.callbacks[0].stats().retries, "the server was found to be away")
"""
        ran = newest.run_code(code, url=NOWHERE)
        assert "1 spend record is lost at exit" in ran.log
        return ran.seconds

    assert seconds(4) > seconds(0) + 2
