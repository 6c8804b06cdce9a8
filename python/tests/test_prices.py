"""Calls without a price are counted, with one warning per model. Free models and cache hits are not counted."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._intake.prices import UnpricedCalls

PRICE_MAP: dict[str, Any] = {
    "free-model": {"input_cost_per_token": 0.0, "output_cost_per_token": 0},
    "free-query": {"input_cost_per_query": 0.0},
    "free-tokens": {"input_cost_per_token": 0, "output_cost_per_image": 0.04},
    "free-tiers": {"tiered_pricing": [{"input_cost_per_token": 0, "range": [0, 256000]}]},
    "provider/free-with-provider": {"input_cost_per_token": 0.0},
    "deployment-1": {"input_cost_per_token": 0},
    "provider/paid-elsewhere": {"input_cost_per_token": 0},
    "paid-elsewhere": {"input_cost_per_token": 1e-6},
    "paid-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 0},
    "paid-seconds": {"input_cost_per_token": 0, "input_cost_per_second": 0.0001},
    "paid-context": {"search_context_cost_per_query": {"search_context_size_low": 0.03}},
    "odd-entry": ["0.0"],
    "registered-without-price": {"litellm_provider": "openai", "input_cost_per_token": None},
}
FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
PAID = {"input_cost_per_token": 0, "output_cost_per_token": 1e-6}
FAILED = {"standard_logging_object": {"response_cost_failure_debug_info": {"error_str": "This model isn't mapped"}}}


@pytest.fixture(autouse=True)
def price_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(model_cost=PRICE_MAP))


def call(**changes: Any) -> dict[str, Any]:
    record = {"model": "own-model", "custom_llm_provider": "provider", "status": "success", "total_tokens": 30}
    return {**record, "call_type": "acompletion", "response_cost": 0.0, **changes}


def is_told(event: dict[str, Any] | None = None, **changes: Any) -> bool:
    calls = UnpricedCalls()
    calls.check(call(**changes), event or {})
    return calls.count == 1


@pytest.mark.parametrize(
    "changes",
    [{}, *({"model": model} for model in ("paid-model", "registered-without-price", "odd-entry", None))],
    ids=["unknown", "paid", "no price", "odd entry", "no model"],
)
def test_a_call_that_LiteLLM_could_not_price_is_counted(changes: dict[str, Any]) -> None:
    assert is_told(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"response_cost": 0.1},
        {"status": "failure"},
        {"cache_hit": True},
        {"model": "free-model"},
        {"model": "free-tokens"},
        {"model": "free-tiers"},
        {"model": "free-with-provider"},
        {"model": "paid-elsewhere", "model_map_information": {"model_map_key": "paid-elsewhere"}},
        {"model_id": "deployment-1"},
        {"model_map_information": {"model_map_key": "free-model"}},
        {"metadata": {"usage_object": {"cost": 0}}},
    ],
    ids=str,
)
def test_priced_free_failed_and_cached_calls_are_not(changes: dict[str, Any]) -> None:
    assert not is_told(**changes)


@pytest.mark.parametrize(
    "params",
    [
        lambda price: price,
        lambda price: {"model_info": price},
        lambda price: {"metadata": {"model_info": price}},
        lambda price: {"litellm_metadata": {"model_info": price}},
    ],
    ids=["call", "call's model", "deployment", "deployment of another endpoint"],
)
def test_the_price_of_the_call_or_of_its_deployment_comes_before_the_price_map(params: Any) -> None:
    for model in ("own-model", "paid-model"):
        assert not is_told({"litellm_params": params(FREE)}, model=model)
    for model in ("own-model", "free-model"):
        assert is_told({"litellm_params": params(PAID)}, model=model)
        assert is_told({"litellm_params": params({"input_cost_per_token": None, "custom": 0})})


WITHOUT_TOKENS = ["image_generation", "aimage_edit", "transcription", "aspeech", "arerank", "ocr", "avideo_generation"]


@pytest.mark.parametrize("call_type", [*WITHOUT_TOKENS, "aembedding", "anthropic_messages", "asearch", "completion"])
def test_a_call_without_tokens_is_told_if_nothing_prices_it(call_type: str) -> None:
    changes: dict[str, Any] = {"call_type": call_type, "total_tokens": 0}
    assert is_told(**changes)
    assert is_told(**changes, model="registered-without-price")
    for model in ("free-model", "free-query"):
        assert not is_told(FAILED, **changes, model=model)
    for model in ("paid-model", "paid-seconds", "paid-context"):
        assert is_told(FAILED, **changes, model=model), "LiteLLM could not apply it"
        assert not is_told(**changes, model=model), "there is nothing to apply it to"


@pytest.mark.parametrize(
    "call_type",
    [
        "acreate_file",
        "file_content",
        "acreate_batch",
        "create_fine_tuning_job",
        "alist_input_items",
        "aget_responses",
        "acancel_responses",
        "adelete_responses",
        "avideo_status",
        "avideo_content",
        "avector_store_search",
        "create",
        None,
    ],
)
def test_a_call_that_does_no_work_of_a_model_costs_nothing_by_design(call_type: str | None) -> None:
    assert not is_told(FAILED, call_type=call_type, total_tokens=0)
    assert is_told(FAILED, call_type=call_type), "unless it counts tokens"


def test_a_search_of_the_callers_own_files_names_no_model() -> None:
    assert not is_told(FAILED, call_type="search", total_tokens=0, model="")


def test_a_call_without_a_model_is_named_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "litellm_spend"):
        assert is_told(FAILED, call_type="video_remix", total_tokens=0, model="")
    assert "'video_remix'" in caplog.messages[0]


def test_each_model_is_told_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    calls = UnpricedCalls()
    with caplog.at_level(logging.WARNING, "litellm_spend"):
        for number in range(700):
            calls.check(call(model=f"model-{number}"), {})
            calls.check(call(model=f"model-{number}"), {})
    assert calls.count == 1400
    assert len(caplog.messages) == 500
    assert caplog.messages[0] == (
        "LiteLLM has no price for calls of the model 'provider/model-0', so they are recorded with a spend of 0. "
        "Register its price with litellm.register_model, or a price of 0 if it is free"
    )


def test_a_models_name_is_cut() -> None:
    calls = UnpricedCalls()
    calls.check(call(model="x" * 100_000), {})
    assert all(len(model) <= 200 for model in calls._warned)
