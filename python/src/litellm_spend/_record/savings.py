"""Gets the dollars that a provider's prompt cache saved on a call: LiteLLM's own figure for its dashboard.

LiteLLM's function knows tiers, regions and the price of each cache's lifetime. Its module loads in about 3 ms, at the
first call that used a cache, and loads nothing of the proxy. An older LiteLLM has no such figure, so none is sent.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

log = logging.getLogger("litellm_spend")

_DETAILS: Final = ("cached_tokens", "cache_write_tokens", "cache_creation_tokens")


def prompt_caching_savings(payload: Mapping[str, Any]) -> float | None:
    """The savings minus the cost of writing to the cache, so they may be negative; None if there are none.

    `payload`: LiteLLM's StandardLoggingPayload. Never raises.
    """
    usage = (payload.get("metadata") or {}).get("usage_object")
    if not usage or not isinstance(usage, Mapping) or not _used_a_cache(usage):
        return None
    try:
        calculate = _litellms_own()
        if calculate is None:
            return None
        return calculate(
            model=payload.get("model"),
            custom_llm_provider=payload.get("custom_llm_provider"),
            usage_object=usage,
            cost_breakdown=payload.get("cost_breakdown"),
            billed_at=datetime.fromtimestamp(payload["endTime"], timezone.utc),
        )
    except Exception as error:
        log.debug("LiteLLM cannot compute the savings of a prompt cache: %s", type(error).__name__)
        return None


def _used_a_cache(usage: Mapping[str, Any]) -> bool:
    if usage.get("cache_read_input_tokens") or usage.get("cache_creation_input_tokens"):
        return True
    details = usage.get("prompt_tokens_details")
    return bool(details) and isinstance(details, Mapping) and any(details.get(key) for key in _DETAILS)


@functools.cache
def _litellms_own() -> Callable[..., float | None] | None:
    try:
        from litellm.proxy.spend_tracking.savings import prompt_caching_savings_for_request
    except Exception as error:
        # The import is not tried again, because it would fail at each call: the version or another package is wrong.
        log.debug("this LiteLLM has no figure of the savings of a prompt cache: %s", type(error).__name__)
        return None
    return prompt_caching_savings_for_request
