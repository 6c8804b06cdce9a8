"""The fields of a call reach its record, and so does the price that LiteLLM knows: real calls, real price map."""

from __future__ import annotations

import json

import pytest

from harness.database import Database
from harness.postgres import PROJECT

from .driving import Sdk

GOLDENS = PROJECT / "tests" / "goldens" / "cases.jsonl"


@pytest.fixture(scope="module")
def has_savings(litellm: Sdk) -> bool:
    """LiteLLM 1.79 has neither this figure nor a column for it."""
    return not litellm.is_1_79


def test_a_call_through_a_router_says_who_and_how(database: Database, litellm: Sdk, has_savings: bool) -> None:
    records = litellm.run("fields.py", url=database.url).sdk
    chat = records["acompletion"]
    assert (chat["agent_id"], chat["billing_agent_id"]) == ("agent-1", "agent-2")
    assert (chat["trace_id"], chat["model_group"], chat["request_tags"]) == ("session-1", "group", ["tag-1"])
    assert chat["model_map_information"]["model_map_key"].endswith("gpt-4o") and len(chat["model_map_information"]) == 1
    assert chat["metadata"]["user_api_key_project_id"] == "project-1"
    assert chat["metadata"]["user_api_key_end_user_id"] == "customer-1"
    if has_savings:
        expected = {"attempted_retries": 0, "max_retries": 2, "attempted_fallbacks": 0, "original_model_group": "group"}
        assert {name: chat["metadata"].get(name) for name in expected} == expected
    assert {kind: record["tool_calls"] for kind, record in records.items()} == {
        "acompletion": ["search"],
        "aresponses": ["look"],
        "anthropic_messages": ["write"],
    }

    database.wait_folded()
    assert database.query(
        """SELECT team_id, agent_id, billing_agent_id, end_user, session_id FROM "LiteLLM_SpendLogs"
           WHERE "user" = 'chat'"""
    ) == [("team-1", "agent-1", "agent-2", "customer-1", "session-1")]
    savings = database.value(
        """SELECT prompt_caching_savings_spend FROM "LiteLLM_DailyUserSpend" WHERE user_id = 'chat'"""
    )
    # 1500 cached tokens at half the price of 2.5e-6.
    assert savings == pytest.approx(1500 * 1.25e-6 if has_savings else 0, abs=1e-12)


def test_the_savings_of_a_prompt_cache_are_LiteLLMs_own_figure(litellm: Sdk, has_savings: bool) -> None:
    cases = [case for line in GOLDENS.read_text().splitlines() if (case := json.loads(line))["name"] in CACHED]
    assert len(cases) == len(CACHED)
    code = """
from litellm_spend import spend_record
for payload in json.loads(sys.argv[1]):
    print(json.dumps(spend_record({"standard_logging_object": payload})))
"""
    payloads = [case["requests"][0]["standard_logging_object"] for case in cases]
    records = litellm.run_code(code, json.dumps(payloads), url=None).reported
    for case, record in zip(cases, records, strict=True):
        [row] = case["db_rows"]["LiteLLM_DailyUserSpend"]
        expected = row["prompt_caching_savings_spend"] if has_savings else None
        assert record.get("prompt_caching_savings_spend") == pytest.approx(expected, abs=1e-12)


CACHED = ("cached_tokens_openai", "cache_tokens_anthropic")

UNPRICED = """
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
messages = [{"role": "user", "content": "what does it cost?"}]

def ask(model, reply="not much", **others):
    return litellm.completion(model=model, messages=messages, mock_response=reply, **others)

def deployment(name, **price):
    return {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "sk-none", **price}}

ask("openai/own-model"); ask("openai/own-model")
ask("gpt-4o-mini")
ask("ollama/llama3")
ask("openai/gift", input_cost_per_token=0, output_cost_per_token=0)
free = dict(input_cost_per_token=0, output_cost_per_token=0)
router = litellm.Router([deployment("other-model"), deployment("other-gift", **free)])
router.completion(model="other-model", messages=messages, mock_response="not much")
router.completion(model="other-gift", messages=messages, mock_response="not much")
try:
    ask("openai/failed-model", Exception("no"))
except Exception:
    pass
litellm.cache = litellm.Cache(type="local")
ask("openai/cached-gift", **free)
wait_until(lambda: logger.stats().captured == 9, "9 calls are captured")
litellm.model_cost.pop("openai/cached-gift", None)  # LiteLLM before 1.110 registers a call's own price
ask("openai/cached-gift")
wait_until(lambda: logger.stats().captured == 10, "10 calls are captured")
say(unpriced=logger.stats().unpriced)
"""


def test_calls_that_LiteLLM_has_no_price_for_are_counted_and_told_once_a_model(
    database: Database, litellm: Sdk
) -> None:
    ran = litellm.run_code(UNPRICED, url=database.url)
    assert ran.sdk == {"unpriced": 3}
    warned = [line for line in ran.log_lines() if "has no price" in line]
    assert [line.split("'")[1] for line in warned] == ["openai/own-model", "openai/other-model"]
    database.wait_folded()
    assert database.value("""SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE spend = 0 AND status = 'success'""") == 8


UNPRICED_WITHOUT_TOKENS = """
import provider
litellm.callbacks = [logger := SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none"}
sound, paper = ("a.wav", b"RIFF"), {"type": "document_url", "document_url": "https://example.com/a.pdf"}
work = {
    "openai/%s-image": lambda model: litellm.image_generation(model=model, prompt="a cat", **api),
    "openai/%s-whisper": lambda model: litellm.transcription(model=model, file=sound, **api),
    "openai/%s-tts": lambda model: litellm.speech(model=model, input="hello", voice="alloy", **api),
    "cohere/%s-rerank": lambda model: litellm.rerank(model=model, query="q", documents=["a"], **api),
    "mistral/%s-ocr": lambda model: litellm.ocr(model=model, document=paper, **api),
}
if "1.79" in sys.argv:
    del work["mistral/%s-ocr"]  # LiteLLM 1.79 makes no payload of it
for name, do in work.items():
    do(name % "house")
    free = name % "free"
    prices = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    litellm.register_model({free: {"litellm_provider": free.split("/")[0], "mode": "chat", **prices}})
    do(free)
deployment = {"model": "openai/gift-image", "input_cost_per_pixel": 0, **api}
router = litellm.Router([{"model_name": "group", "litellm_params": deployment}])
router.image_generation(model="group", prompt="a cat")
litellm.speech(model="openai/tts-1", input="hello", voice="alloy", **api)
litellm.create_file(file=("lines.jsonl", b"{}"), purpose="batch", custom_llm_provider="openai", **api)
calls = 2 * len(work) + 3
wait_until(lambda: logger.stats().captured == calls, f"{calls} calls are captured")
say(unpriced=logger.stats().unpriced, work=len(work))
"""


def test_a_call_without_tokens_and_without_a_price_is_told_too(database: Database, litellm: Sdk) -> None:
    ran = litellm.run_code(UNPRICED_WITHOUT_TOKENS, *(["1.79"] if litellm.is_1_79 else []), url=database.url)
    warned = [line.split("'")[1] for line in ran.log_lines() if "has no price" in line]
    expected = [f"openai/house-{kind}" for kind in ("image", "whisper", "tts")]
    expected += ["cohere/house-rerank", "mistral/house-ocr"]
    assert sorted(warned) == sorted(expected[: ran.sdk["work"]])
    assert ran.sdk["unpriced"] == len(warned)
    database.wait_folded()
    assert database.value("""SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE spend > 0""") == 1, "tts-1 has a price"


THROUGH_A_PROXY = """
litellm.callbacks = [logger := SpendLogger(record_failures=True)]
messages = [{"role": "user", "content": "what does it cost?"}]

def ask(model, **others):
    try:
        litellm.completion(model=model, messages=messages, api_base="http://127.0.0.1:1", api_key="sk-none", **others)
    except Exception as error:
        return type(error).__name__

ask("litellm_proxy/gpt-4o", mock_response="not much")
assert ask("litellm_proxy/gpt-4o", max_retries=0)
litellm.use_litellm_proxy = True
ask("gpt-4o", mock_response="not much")
litellm.use_litellm_proxy = False
call()
wait_until(lambda: logger.stats().captured, "a call is captured")
"""


def test_calls_to_a_LiteLLM_proxy_are_left_to_it(database: Database, litellm: Sdk) -> None:
    litellm.run_code(THROUGH_A_PROXY, url=database.url)
    database.wait_folded()
    assert database.query('SELECT "user", custom_llm_provider, status FROM "LiteLLM_SpendLogs"') == [
        ("user-0", "openai", "success")
    ]


SERVED_BY_CHAT = """
import provider

class Delay(litellm.integrations.custom_logger.CustomLogger):
    def logging_hook(self, kwargs, result, call_type):
        if call_type == sys.argv[1]:
            time.sleep(0.5)
        return kwargs, result

litellm.success_callback = [Delay()]
litellm.callbacks = [logger := SpendLogger()]
api = {"api_base": provider.start(), "api_key": "sk-none", "user": "user-1"}
wish = provider.ask(tool="search")

async def main():
    await litellm.aresponses(model="anthropic/claude-sonnet-4-5", input=wish[0]["content"], **api)
    await litellm.anthropic.messages.acreate(model="openai/gpt-4o", messages=wish, max_tokens=9, **api)

asyncio.run(main())
"""


@pytest.mark.parametrize("last", ["acompletion", "aresponses"])
def test_a_call_that_LiteLLM_serves_by_a_chat_completion_is_recorded_once(
    database: Database, litellm: Sdk, last: str
) -> None:
    litellm.run_code(SERVED_BY_CHAT, last, url=database.url)
    database.wait_folded()
    logged = database.query('SELECT custom_llm_provider, model, "user", spend > 0 FROM "LiteLLM_SpendLogs" ORDER BY 1')
    assert logged == [
        ("anthropic", "claude-sonnet-4-5", "user-1", True),
        ("openai", "gpt-4o", "user-1", True),
    ]
