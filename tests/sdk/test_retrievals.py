"""Work in the background is charged once, at its full cost, however often and wherever it was retrieved before and
after it was done. A response that was paid for when it was created costs nothing to retrieve."""

from __future__ import annotations

import json

import pytest

from harness.database import Database

from .driving import Sdk, logged

RETRIEVED_FIVE_TIMES = """
import provider
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
os.environ |= {"OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": provider.start()}
litellm.callbacks = [SpendLogger()]

async def main():
    for _ in range(4):
        await litellm.aretrieve_batch("batch_1", custom_llm_provider="openai")
    await asyncio.wait_for(GLOBAL_LOGGING_WORKER.flush(), 60)

asyncio.run(main())
litellm.retrieve_batch("batch_1", custom_llm_provider="openai")
"""
BATCHES = """
SELECT request_id, spend, prompt_tokens, completion_tokens FROM "LiteLLM_SpendLogs" WHERE call_type LIKE '%batch'
"""


def test_a_batch_is_charged_once_when_its_cost_is_known(database: Database, litellm: Sdk) -> None:
    litellm.run_code(RETRIEVED_FIVE_TIMES, url=database.url)
    spend = logged(database).spend
    if litellm.is_1_79:
        # LiteLLM 1.79 has no price for a batch.
        assert database.query(BATCHES) == []
        return
    # 2000 and 10 tokens at half of gpt-4o's 2.5e-6 and 1e-5.
    cost = pytest.approx(2000 * 1.25e-6 + 10 * 5e-6, rel=1e-9)
    assert database.query(BATCHES) == [("batch_1_batch_cost", cost, 2000, 10)]
    assert spend == cost
    assert database.status()["duplicates"] == 2


OF_OPENAI = """
import provider
litellm.callbacks = [logger := SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none", "custom_llm_provider": "openai"}
"""
RESPONSES = """
async def main():
    for _ in range(3):
        await litellm.aget_responses("background_1", **api)
        await litellm.acancel_responses("background_1", **api)
    await litellm.aget_responses("made_1", **api)
    await litellm.acancel_responses("made_1", **api)

asyncio.run(main())
litellm.get_responses("background_1", **api)
litellm.cancel_responses("background_1", **api)
wait_until(lambda: logger.stats().captured == 10, "10 calls are captured")
say(unpriced=logger.stats().unpriced)
"""
# 2000 and 10 tokens of gpt-4o.
COST = pytest.approx(2000 * 2.5e-6 + 10 * 1e-5, rel=1e-9)
CHARGED = """SELECT spend, total_tokens FROM "LiteLLM_SpendLogs" WHERE request_id LIKE %s"""


def test_a_background_response_is_charged_once(database: Database, litellm: Sdk) -> None:
    assert litellm.run_code(OF_OPENAI + RESPONSES, url=database.url).sdk == {"unpriced": 0}
    assert logged(database).spend == COST
    assert database.query(CHARGED, "%_background_cost") == [(COST, 2010)]
    # In progress at the first read, and done at the next seven. The other response is two requests without cost.
    assert (logged(database).requests, database.status()["duplicates"]) == (4, 6)


STREAMED = """
import provider
litellm.callbacks = [logger := SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none"}
make, model, options = litellm.aresponses, "openai/gpt-4o", api
if "through a Router" in sys.argv:
    router = litellm.Router([{"model_name": "group", "litellm_params": {"model": model, **api}}])
    make, model, options = router.aresponses, "group", {}

async def main():
    wish = provider.ask(background="background_2")[0]["content"]
    events = await make(model=model, input=wish, background=True, stream=True, **options)
    event = await anext(aiter(events))
    if "read first" in sys.argv:
        say(id=event.response.id)
        await asyncio.to_thread(sys.stdin.readline)
    async for event in events:
        pass
    wait_until(lambda: logger.stats().captured, "the creation is captured")
    assert await logger.aflush(60)
    say(id=event.response.id)

asyncio.run(main())
"""
READ = """
import provider
litellm.callbacks = [SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none", "custom_llm_provider": "openai"}
for _ in range(3):
    litellm.get_responses(sys.argv[1], **api)
"""


@pytest.mark.parametrize("through", ["through a Router", "without a Router"])
@pytest.mark.parametrize("order", ["read first", "made first"])
def test_a_background_response_that_was_streamed_and_is_read_elsewhere_is_charged_once(
    database: Database, litellm: Sdk, through: str, order: str
) -> None:
    with litellm.start_code(STREAMED, through, order, url=database.url) as program:
        id_ = json.loads(program.stdout.readline())["id"]
        litellm.run_code(READ, id_, url=database.url)
        if order == "read first":
            database.wait_folded()
            print("go on", file=program.stdin)
            program.stdout.readline()
    assert logged(database).spend == COST
    assert database.query(CHARGED, "%_background_cost") == [(COST, 2010)]
    # Created, or done at one of two reads, and in progress at the first read.
    assert (logged(database).requests, database.status()["duplicates"]) == (2, 2)


VIDEOS = """
async def main():
    for _ in range(4):
        await litellm.avideo_status("video_1", **api)

asyncio.run(main())
litellm.video_status("video_1", **api)
wait_until(lambda: logger.stats().captured == 5, "5 calls are captured")
say(unpriced=logger.stats().unpriced)
"""


def test_a_video_is_charged_once(database: Database, litellm: Sdk) -> None:
    assert litellm.run_code(OF_OPENAI + VIDEOS, url=database.url).sdk == {"unpriced": 0}
    assert logged(database).spend == COST
    assert database.query(CHARGED, "%_video_cost") == [(COST, 2010)]
    # In progress at the first poll, and done at the next four.
    assert (logged(database).requests, database.status()["duplicates"]) == (2, 3)
