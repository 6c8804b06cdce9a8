"""Finds calls for which LiteLLM has no price. They are recorded with a spend of 0, which nobody would notice."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._record.tools import get

log = logging.getLogger("litellm_spend")

# The application chooses the names of models, so it is limited how much of them is remembered.
_MODELS: Final = 500
_LONGEST_NAME: Final = 200
_TOKEN_RATES: Final = ("input_cost_per_token", "output_cost_per_token")
# A price is a number, or nested tiers of prices.
_DEEPEST_PRICE: Final = 6
# Calls of a model that cost something, although they may count no tokens. LiteLLM's other calls without tokens cost
# nothing: they read, list, delete, upload, or start work that is charged later.
_MODEL_CALLS: Final = (
    "completion",
    "text_completion",
    "anthropic_messages",
    "responses",
    "compact_responses",
    "embedding",
    "rerank",
    "ocr",
    "moderation",
    "decisions",
    "transcription",
    "speech",
    "image_generation",
    "image_edit",
    "image_variation",
    "create_video",
    "video_generation",
    "video_remix",
    "video_edit",
    "video_extension",
)
_COSTS_WITHOUT_TOKENS: Final = frozenset((*_MODEL_CALLS, *(f"a{call_type}" for call_type in _MODEL_CALLS)))
# A search that names a model is a search provider's. Any other searches the caller's own files.
_SEARCHES: Final = frozenset(("search", "asearch"))


class UnpricedCalls:
    """Counts successful calls for which LiteLLM has no price, and warns once for each model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def check(self, record: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
        """Checks a finished call. `record` is its record, `kwargs` its event from LiteLLM."""
        if not _is_unpriced(record, kwargs):
            return
        model = _name_to_register(record)
        with self._lock:
            self._count += 1
            if model in self._warned or len(self._warned) >= _MODELS:
                return
            self._warned.add(model)
        log.warning(
            "LiteLLM has no price for calls of the model %r, so they are recorded with a spend of 0. "
            "Register its price with litellm.register_model, or a price of 0 if it is free",
            model,
        )


def _is_unpriced(record: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call that cost nothing should have cost something, by LiteLLM's own rules."""
    if record.get("response_cost") or record.get("status") != "success" or record.get("cache_hit") is True:
        return False
    has_tokens = bool(record.get("total_tokens"))
    if not has_tokens and not _costs_without_tokens(record):
        return False
    if get(get(record.get("metadata"), "usage_object"), "cost") == 0:
        return False  # the provider says that the call is free
    rates = next(filter(None, (_rates(price, has_tokens) for price in _prices(record, kwargs))), None)
    if not rates:
        return True
    if not any(rates):
        return False
    # The model has a price. Either LiteLLM could not apply it, or there was nothing to charge.
    failure = get(kwargs.get("standard_logging_object"), "response_cost_failure_debug_info")
    return has_tokens or bool(failure)


def _costs_without_tokens(record: Mapping[str, Any]) -> bool:
    call_type = record.get("call_type")
    return call_type in _COSTS_WITHOUT_TOKENS or (call_type in _SEARCHES and bool(record.get("model")))


def _prices(record: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """The prices of a call in the order in which LiteLLM looks: the call's, its deployment's, the price map's."""
    params = kwargs.get("litellm_params")
    yield params
    yield get(params, "model_info")
    yield get(get(params, "metadata"), "model_info")
    yield get(get(params, "litellm_metadata"), "model_info")
    price_map = getattr(sys.modules.get("litellm"), "model_cost", None)
    if isinstance(price_map, Mapping):
        yield from map(price_map.get, _price_names(record))


def _rates(price: Any, has_tokens: bool) -> list[float]:
    """The numbers in a price. If tokens were counted and the price has numbers for tokens, only those."""
    if not isinstance(price, Mapping):
        return []
    of_tokens = [price.get(key) for key in _TOKEN_RATES] if has_tokens else []
    return list(_numbers(of_tokens)) or list(_numbers(_rate_values(price)))


def _numbers(price: Any, depth: int = _DEEPEST_PRICE) -> Iterator[float]:
    if isinstance(price, (int, float)) and not isinstance(price, bool):
        yield price
    elif depth and isinstance(price, (list, tuple)):
        for part in price:
            yield from _numbers(part, depth - 1)
    elif depth and isinstance(price, Mapping):
        # If a tier names its rates, its other numbers are bounds.
        yield from _numbers(_rate_values(price) or list(price.values()), depth - 1)


def _rate_values(price: Mapping[Any, Any]) -> list[Any]:
    return [value for key, value in price.items() if isinstance(key, str) and ("cost" in key or "pricing" in key)]


def _price_names(record: Mapping[str, Any]) -> Iterator[Any]:
    """The names under which LiteLLM looks for a price: a deployment's, the model's, the map's key.

    The name with the provider comes before the model's alone, as in LiteLLM: a model may be free at one provider only.
    """
    model = record.get("model")
    yield record.get("model_id")
    yield f"{record.get('custom_llm_provider')}/{model}"
    yield (record.get("model_map_information") or {}).get("model_map_key")
    yield model


def _name_to_register(record: Mapping[str, Any]) -> str:
    """The name under which a price can be registered for the call: the model's, with its provider."""
    model = str(record.get("model") or "")
    provider = record.get("custom_llm_provider")
    if model and provider and not model.startswith(f"{provider}/"):
        model = f"{provider}/{model}"
    return (model or str(record.get("call_type")))[:_LONGEST_NAME]
