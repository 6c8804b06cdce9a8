"""Failed calls, where they are recorded: a call that the caller sees fail once counts once, with retries or without."""

from __future__ import annotations

import pytest

from harness.database import Database

from .driving import Sdk, assert_recorded

COUNTS = """
SELECT user_id, sum(api_requests)::int, sum(successful_requests)::int, sum(failed_requests)::int
FROM "LiteLLM_DailyUserSpend" GROUP BY user_id
"""
ATTEMPTS = """
SELECT {}, count(*) FILTER (WHERE status = 'failure')::int,
       count(*) FILTER (WHERE (metadata ->> 'billed_retry_attempt')::bool)::int
FROM "LiteLLM_SpendLogs" GROUP BY 1
"""
# The failed attempts of each case, and how many of them were followed by another attempt. A Router retries every call
# but a refused one.
FAILED_ATTEMPTS = {
    "succeeds": (0, 0),
    "retried": (2, 2),
    "exhausted": (3, 2),
    "refused": (1, 0),
    "rerouted": (2, 2),
    "rerouted and retried": (3, 3),
    "fails everywhere": (4, 3),
    "retried under an id": (2, 2),
    "exhausted under an id": (3, 2),
    "plain failure": (1, 0),
}


def test_a_call_counts_once_however_often_a_router_tried_it(database: Database, litellm: Sdk) -> None:
    succeeded = litellm.run("routing.py", url=database.url).sdk
    database.wait_folded()
    failing = {case for case in FAILED_ATTEMPTS if case.startswith(("exhausted", "refused", "fails", "plain"))}
    assert {case for case in FAILED_ATTEMPTS if not succeeded[case]} == failing
    counts = {user: tuple(numbers) for user, *numbers in database.query(COUNTS)}
    assert counts == {user: (1, 1, 0) if ok else (1, 0, 1) for user, ok in succeeded.items()}
    attempts = {user: tuple(numbers) for user, *numbers in database.query(ATTEMPTS.format('"user"'))}
    assert attempts == {f"{kind}{case}": n for case, n in FAILED_ATTEMPTS.items() for kind in ("", "async ")}


@pytest.mark.parametrize(("registration", "expected"), [("object", 0), ("failures", 6)])
def test_failures_are_recorded_only_when_asked_for(
    database: Database, litellm: Sdk, registration: str, expected: int
) -> None:
    ran = litellm.run_scenario(database, "failures", 6, registration)
    assert ran.sdk["failures"] == 6
    assert_recorded(database, ran.sdk)
    assert database.value('SELECT sum(failed_requests)::int FROM "LiteLLM_DailyUserSpend"') == expected
    assert database.value("""SELECT coalesce(sum(spend), 0) FROM "LiteLLM_SpendLogs" WHERE status = 'failure'""") == 0


SLOW = """
import types
import provider
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
deployment = {"model": "openai/gpt-4o-mini", "api_base": provider.start(), "api_key": "sk-none"}
group = [{"model_name": "group", "litellm_params": dict(deployment)} for _ in range(2)]
router = litellm.Router(group, disable_cooldowns=True)

def take_time(number):
    wait_until(lambda: logger.stats().captured >= number, f"{number} records, the first attempt's too, are made")

# The provider answers a second attempt no sooner than the first one's record is made.
provider.time = types.SimpleNamespace(sleep=take_time)

async def main():
    await router.acompletion(model="group", messages=provider.ask(user="async", fail=1, seconds=3), user="async")

router.completion(model="group", messages=provider.ask(user="sync", fail=1, seconds=1), user="sync")
asyncio.run(main())
"""


def test_a_failed_attempt_is_known_as_one_as_soon_as_the_next_starts(database: Database, litellm: Sdk) -> None:
    litellm.run_code(SLOW, url=database.url)
    database.wait_folded()
    assert sorted(database.query(COUNTS)) == [("async", 1, 1, 0), ("sync", 1, 1, 0)]
    assert sorted(database.query(ATTEMPTS.format('"user"'))) == [("async", 1, 1), ("sync", 1, 1)]


OTHER_CALLS = """
import provider
litellm.callbacks = [SpendLogger(record_failures=True)]
api = {"api_base": provider.start(), "api_key": "sk-none"}

def router(model):
    group = [{"model_name": "group", "litellm_params": {"model": model, **api}} for _ in range(2)]
    return litellm.Router(group, disable_cooldowns=True, num_retries=2)

async def fail(call):
    try:
        await call
    except Exception:
        return
    raise AssertionError("a call that was to fail did not")

async def main():
    openai, anthropic = router("openai/gpt-4o-mini"), router("anthropic/claude-sonnet-4-5")
    broken, shaky = provider.ask(status=500), provider.ask(fail=1)
    await fail(openai.acompletion(model="group", messages=broken, stream=True))
    await fail(anthropic.aanthropic_messages(model="group", messages=broken, max_tokens=9))
    await openai.aresponses(model="group", input=shaky[0]["content"])

asyncio.run(main())
"""


def test_streams_responses_and_messages_count_once_too(database: Database, litellm: Sdk) -> None:
    litellm.run_code(OTHER_CALLS, url=database.url)
    database.wait_folded()
    assert sorted(database.query(ATTEMPTS.format("call_type"))) == [
        ("acompletion", 3, 2),
        ("anthropic_messages", 3, 2),
        ("aresponses", 1, 1),
    ]
    [(_, requests, successful, failed)] = database.query(COUNTS)
    assert (requests, successful, failed) == (3, 1, 2)
