"""LiteLLM is asked for the savings of a prompt cache only for calls that used one, and an error loses no record."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from litellm_spend._record import savings
from litellm_spend._record.savings import prompt_caching_savings


def payload(**usage: Any) -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "endTime": 1_700_000_000.5,
        "metadata": {"usage_object": {"prompt_tokens": 10, **usage}},
    }


CACHED: list[dict[str, Any]] = [
    {"cache_read_input_tokens": 5},
    {"cache_creation_input_tokens": 5},
    {"prompt_tokens_details": {"cached_tokens": 5}},
    {"prompt_tokens_details": {"cache_write_tokens": 5}},
    {"prompt_tokens_details": {"cache_creation_tokens": 5}},
]
UNCACHED: list[dict[str, Any]] = [
    {},
    {"cache_read_input_tokens": 0, "prompt_tokens_details": None},
    {"prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 9}},
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def calculate(**arguments: Any) -> float:
        calls.append(arguments)
        return -0.25

    monkeypatch.setattr(savings, "_litellms_own", lambda: calculate)
    return calls


@pytest.mark.parametrize("usage", CACHED, ids=str)
def test_a_call_that_used_a_cache_has_LiteLLMs_figure(asked: list[dict[str, Any]], usage: dict[str, Any]) -> None:
    assert prompt_caching_savings(payload(**usage)) == -0.25
    [arguments] = asked
    assert arguments["billed_at"].isoformat() == "2023-11-14T22:13:20.500000+00:00"


@pytest.mark.parametrize("usage", UNCACHED, ids=str)
def test_a_call_that_used_none_has_no_figure(asked: list[dict[str, Any]], usage: dict[str, Any]) -> None:
    assert prompt_caching_savings(payload(**usage)) is None
    assert prompt_caching_savings({}) is None
    assert asked == []


def test_a_LiteLLM_without_the_figure_and_one_that_fails_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> float:
        raise RuntimeError("needle")

    for found in (None, fail):
        monkeypatch.setattr(savings, "_litellms_own", lambda found=found: found)
        assert prompt_caching_savings(payload(cache_read_input_tokens=5)) is None


@pytest.fixture
def forgotten() -> Iterator[None]:
    savings._litellms_own.cache_clear()
    yield
    savings._litellms_own.cache_clear()


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("error", [ImportError, RuntimeError, AttributeError])
def test_an_import_that_fails_is_tried_once(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    tried: list[str] = []
    original = builtins.__import__

    def fail(name: str, *others: Any) -> Any:
        if name.startswith("litellm."):
            tried.append(name)
            raise error
        return original(name, *others)

    monkeypatch.setattr(builtins, "__import__", fail)
    for _ in range(3):
        assert prompt_caching_savings(payload(cache_read_input_tokens=5)) is None
    assert len(tried) == 1
