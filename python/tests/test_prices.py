"""Calls without a price are counted, and told once a model; free models and cache hits are neither."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend.prices import UnpricedCalls

PRICE_MAP: dict[str, Any] = {
    "free-model": {"input_cost_per_token": 0.0, "output_cost_per_token": 0},
    "provider/free-with-provider": {"input_cost_per_token": 0.0},
    "deployment-1": {"input_cost_per_token": 0},
    "paid-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 0},
    "odd-entry": ["0.0"],
    "registered-without-price": {"litellm_provider": "openai", "input_cost_per_token": None},
}


@pytest.fixture(autouse=True)
def price_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", SimpleNamespace(model_cost=PRICE_MAP))


def call(**changes: Any) -> dict[str, Any]:
    record = {"model": "own-model", "custom_llm_provider": "provider", "status": "success", "total_tokens": 30}
    return {**record, "response_cost": 0.0, **changes}


@pytest.mark.parametrize(
    "changes",
    [{}, *({"model": model} for model in ("paid-model", "registered-without-price", "odd-entry", None))],
    ids=["unknown", "paid", "no price", "odd entry", "no model"],
)
def test_a_call_that_LiteLLM_could_not_price_is_counted(changes: dict[str, Any]) -> None:
    calls = UnpricedCalls()
    calls.look_at(call(**changes))
    assert calls.count == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"response_cost": 0.1},
        {"total_tokens": 0},
        {"status": "failure"},
        {"cache_hit": True},
        {"model": "free-model"},
        {"model": "free-with-provider"},
        {"model_id": "deployment-1"},
        {"model_map_information": {"model_map_key": "free-model"}},
    ],
    ids=str,
)
def test_priced_free_failed_and_cached_calls_are_not(changes: dict[str, Any]) -> None:
    calls = UnpricedCalls()
    calls.look_at(call(**changes))
    assert calls.count == 0


def test_each_model_is_told_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    calls = UnpricedCalls()
    with caplog.at_level(logging.WARNING, "litellm_spend"):
        for number in range(700):
            calls.look_at(call(model=f"model-{number}"))
            calls.look_at(call(model=f"model-{number}"))
    assert calls.count == 1400
    assert len(caplog.messages) == 500
    assert caplog.messages[0] == (
        "LiteLLM has no price for calls of the model 'model-0': they are recorded with their tokens and a spend of 0. "
        "Register its price with litellm.register_model, a price of 0 if it is free"
    )


def test_a_models_name_is_cut() -> None:
    calls = UnpricedCalls()
    calls.look_at(call(model="x" * 100_000))
    assert all(len(model) <= 200 for model in calls._warned)
