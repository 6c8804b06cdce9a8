"""Work in the background is charged once, at its full cost, however often it was retrieved before and after it was
done; a response that was paid for when it was made costs nothing to retrieve."""

from __future__ import annotations

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


RESPONSES = """
import provider
litellm.callbacks = [SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none", "custom_llm_provider": "openai"}

async def main():
    for _ in range(4):
        await litellm.aget_responses("background_1", **api)
    await litellm.aget_responses("made_1", **api)

asyncio.run(main())
"""


def test_a_background_response_is_charged_once(database: Database, litellm: Sdk) -> None:
    litellm.run_code(RESPONSES, url=database.url)
    cost = pytest.approx(2000 * 2.5e-6 + 10 * 1e-5, rel=1e-9)
    assert logged(database).spend == cost
    charged = """SELECT spend, total_tokens FROM "LiteLLM_SpendLogs" WHERE request_id LIKE '%background_cost'"""
    assert database.query(charged) == [(cost, 2010)]
    # In progress at the first retrieval, and then three times done; the other response is a request of no cost.
    assert (logged(database).requests, database.status()["duplicates"]) == (3, 2)
