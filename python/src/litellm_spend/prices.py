"""Calls that LiteLLM could not price: they are recorded with a spend of 0, which nobody would notice."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

log = logging.getLogger("litellm_spend")

# Names of models are the application's: what is remembered of them is bounded.
_MODELS: Final = 500
_LONGEST_NAME: Final = 200
_TOKEN_RATES: Final = ("input_cost_per_token", "output_cost_per_token")


class UnpricedCalls:
    """Counts successful calls with tokens whose model LiteLLM has no price for; one warning a model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def look_at(self, record: Mapping[str, Any]) -> None:
        if record.get("response_cost") or not record.get("total_tokens") or record.get("status") != "success":
            return
        if record.get("cache_hit") is True or _is_free(record):
            return
        model = str(record.get("model"))[:_LONGEST_NAME]
        with self._lock:
            self._count += 1
            if model in self._warned or len(self._warned) >= _MODELS:
                return
            self._warned.add(model)
        log.warning(
            "LiteLLM has no price for calls of the model %r: they are recorded with their tokens and a spend of 0. "
            "Register its price with litellm.register_model, a price of 0 if it is free",
            model,
        )


def _is_free(record: Mapping[str, Any]) -> bool:
    """Whether LiteLLM's price map says that the model's tokens cost nothing."""
    price_map = getattr(sys.modules.get("litellm"), "model_cost", None)
    if not isinstance(price_map, Mapping):
        return False
    for name in _names(record):
        entry = price_map.get(name)
        if not isinstance(entry, Mapping):
            continue
        rates = [rate for key in _TOKEN_RATES if (rate := entry.get(key)) is not None]
        if rates:
            return not any(rates)
    return False


def _names(record: Mapping[str, Any]) -> Iterator[Any]:
    """The names under which LiteLLM looks for a price: a deployment's, the map's key, with and without provider."""
    model = record.get("model")
    yield record.get("model_id")
    yield (record.get("model_map_information") or {}).get("model_map_key")
    yield model
    yield f"{record.get('custom_llm_provider')}/{model}"
