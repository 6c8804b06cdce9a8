"""The cost of failed calls is charged once, as LiteLLM's proxy charges it, whether failures are recorded or not.

The proxy's rule (its `_ProxyDBLogger`): a call that succeeds costs what its success event says, and none of its
failed attempts is charged in addition. A call that fails costs the sum of its attempts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pytest

from harness.database import Database

from .driving import TOLERANCE, Sdk, user_spend

COUNTS = """
SELECT user_id, sum(api_requests)::int, sum(successful_requests)::int, sum(failed_requests)::int
FROM "LiteLLM_DailyUserSpend" GROUP BY user_id
"""
LOGGED = """
SELECT "user", count(*) FILTER (WHERE status = 'failure')::int, sum(spend) FROM "LiteLLM_SpendLogs" GROUP BY 1
"""
# Anthropic reports the prompt's 2,000 tokens at the start. The words that came have 21 tokens, a whole answer has 30.
CUT, PREFIX, WHOLE = (2000 * 3e-6 + tokens * 15e-6 for tokens in (21, 1, 30))
# From LiteLLM 1.109 on, which gives a failed call a cost.
COSTS = {
    "async messages cut": CUT,
    "async messages retried": WHOLE,
    "async messages rerouted": WHOLE,
    "async messages never": 4 * PREFIX,
    "async continued": CUT + WHOLE,
    "async continued, cut": 2 * CUT,
    "async continued, failed": CUT,
}
# The calls with a cut stream to which LiteLLM gives a cost.
WITH_A_COST = {
    *("ended", "response cut", "retried, ended", "async cut", "async ended", "async response cut"),
    *("async num_retries", "async retried, cut", "async retried, ended", "async retried, response cut"),
    *COSTS,
}
# LiteLLM 1.79 does not report the end of these calls. Its sync streams are left out too, because it reports their cost
# to one callback and not to another.
UNTOLD = {"async retried, response cut"}


class Call:
    """The events of one call that LiteLLM sent to every callback. It sends some of them twice."""

    def __init__(self) -> None:
        self.succeeded = False
        self.success = 0.0
        self.failures: dict[tuple[str, float], float] = {}

    def add(self, event: dict[str, Any]) -> None:
        if event["status"] == "success":
            self.succeeded, self.success = True, event["cost"]
        else:
            self.failures[event["call"], event["start"]] = event["cost"]

    def charged(self) -> float:
        return self.success if self.succeeded else math.fsum(self.failures.values())

    def costly_failures(self) -> int:
        return 0 if self.succeeded else sum(cost > 0 for cost in self.failures.values())


@pytest.mark.parametrize("records_failures", [False, True], ids=["failures-off", "failures-on"])
def test_what_failed_calls_cost_is_charged_as_by_the_proxy(
    database: Database, litellm: Sdk, records_failures: bool
) -> None:
    ran = litellm.run("cut_streams.py", *["failures"][:records_failures], url=database.url)
    calls: dict[str, Call] = defaultdict(Call)
    for event in ran.reported:
        calls[event["user"]].add(event)
    told = set(calls)
    if litellm.is_1_79:
        told = {user for user in told if user.startswith("async")} - UNTOLD
    spend = {user: cost for user, cost in user_spend(database).items() if user in told}
    expected = {user: call.charged() for user, call in calls.items() if user in told}
    if not records_failures:
        expected = {user: cost for user, cost in expected.items() if cost or calls[user].succeeded}
    assert spend == pytest.approx(expected, rel=TOLERANCE)
    if not litellm.is_1_79:
        assert {user for user, cost in spend.items() if cost} >= WITH_A_COST
        assert {user: spend[user] for user in COSTS} == pytest.approx(COSTS, rel=TOLERANCE)

    counts = {user: tuple(numbers) for user, *numbers in database.query(COUNTS) if user in told}
    failed = (1, 0, 1) if records_failures else (0, 0, 0)
    assert counts == {user: (1, 1, 0) if calls[user].succeeded else failed for user in expected}
    logged = {user: (failures, cost) for user, failures, cost in database.query(LOGGED) if user in told}
    assert {user: cost for user, (_, cost) in logged.items()} == pytest.approx(expected, rel=TOLERANCE)
    rows = {user: len(calls[user].failures) if records_failures else calls[user].costly_failures() for user in expected}
    assert {user: failures for user, (failures, _) in logged.items()} == rows
    errors = """SELECT count(*) FROM "LiteLLM_DailyRequestErrors" """
    assert (database.value(errors) > 0) == records_failures
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0


CALLS_OF_ONE_ID = """
import provider
litellm.callbacks = [SpendLogger()]
model = {"model": "anthropic/claude-sonnet-4-5", "api_base": provider.start(), "api_key": "sk-none"}
group = [{"model_name": "group", "litellm_params": model} for _ in range(2)]
router = litellm.Router(group, retry_after=0, disable_cooldowns=True, num_retries=1)

async def ask(*answers):
    messages = provider.ask(answers=answers)
    try:
        stream = await router.aanthropic_messages(
            model="group", messages=messages, max_tokens=99, stream=True, litellm_trace_id="session",
            litellm_metadata={"user_api_key_user_id": "user"},
        )
        async for _ in stream:
            pass
    except Exception as error:
        say(failed=type(error).__name__)

async def main():
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
    await ask("cut")
    await asyncio.to_thread(wait_until, lambda: litellm.callbacks[0].stats().held == 1, "the cut stream is held")
    await ask("failed", "whole")
    await asyncio.wait_for(GLOBAL_LOGGING_WORKER.flush(), 60)

asyncio.run(main())
"""


def test_a_cut_stream_is_charged_though_a_later_call_with_its_id_recovers(database: Database, litellm: Sdk) -> None:
    if litellm.is_1_79:
        pytest.skip("LiteLLM 1.79 gives no failure a cost")
    ran = litellm.run_code(CALLS_OF_ONE_ID, url=database.url)
    assert len(ran.reported) == 1, "the second call succeeds"
    assert user_spend(database) == pytest.approx({"user": CUT + WHOLE}, rel=TOLERANCE)
    assert database.query(COUNTS) == [("user", 1, 1, 0)]


CONTINUED_ONE_AFTER_THE_OTHER = """
import provider
litellm.callbacks = [SpendLogger()]
model = {"model": "anthropic/claude-sonnet-4-5", "api_base": provider.start(), "api_key": "sk-none"}
groups = [{"model_name": name, "litellm_params": model} for name in ("first", "second")]
router = litellm.Router(
    groups, retry_after=0, disable_cooldowns=True, num_retries=0, fallbacks=[{"first": ["second"]}],
    enable_mid_stream_fallback_continuation=True,
)

async def main():
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
    for number in range(5):
        messages = provider.ask(answers=["cut", "whole"], number=number)
        async for _ in await router.acompletion(
            model="first", messages=messages, stream=True, litellm_trace_id="session",
            metadata={"user_api_key_user_id": "user"},
        ):
            pass
    await asyncio.wait_for(GLOBAL_LOGGING_WORKER.flush(), 60)

asyncio.run(main())
"""


def test_continued_streams_of_one_session_cost_what_their_successes_say(database: Database, litellm: Sdk) -> None:
    """LiteLLM reports a success after the next call has started."""
    if litellm.is_1_79:
        pytest.skip("LiteLLM 1.79 continues no stream")
    litellm.run_code(CONTINUED_ONE_AFTER_THE_OTHER, url=database.url)
    assert user_spend(database) == pytest.approx({"user": 5 * (CUT + WHOLE)}, rel=TOLERANCE)
    assert database.query(COUNTS) == [("user", 5, 5, 0)]


ONE_LOGGING_OBJECT = """
import datetime, uuid
import provider
from litellm.utils import Rules, function_setup
litellm.callbacks = [SpendLogger()]
model = {"model": "anthropic/claude-sonnet-4-5", "api_base": provider.start(), "api_key": "sk-none"}
group = [{"model_name": "group", "litellm_params": model} for _ in range(2)]
router = litellm.Router(group, retry_after=0, disable_cooldowns=True, num_retries=2)

async def main():
    request = {
        "model": "group", "messages": provider.ask(answers=["cut"], words=0), "max_tokens": 99, "stream": True,
        "litellm_call_id": str(uuid.uuid4()), "litellm_metadata": {"user_api_key_user_id": "user"},
    }
    logging_object, request = function_setup("aanthropic_messages", Rules(), datetime.datetime.now(), **request)
    try:
        stream = await router.aanthropic_messages(**request, litellm_logging_obj=logging_object)
        async for _ in stream:
            pass
    except Exception as error:
        say(failed=type(error).__name__)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait([task], timeout=1)

asyncio.run(main())
"""


def test_each_attempt_of_a_proxys_request_is_charged(database: Database, litellm: Sdk) -> None:
    """LiteLLM's proxy logs all attempts of a request with one object, so they share their id and start."""
    if litellm.is_1_79:
        pytest.skip("LiteLLM 1.79 gives no failure a cost")
    litellm.run_code(ONE_LOGGING_OBJECT, url=database.url)
    assert user_spend(database) == pytest.approx({"user": 3 * PREFIX}, rel=TOLERANCE)
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 3
