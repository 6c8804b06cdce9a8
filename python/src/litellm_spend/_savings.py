"""What a provider's prompt cache saved on a call, in dollars: LiteLLM's own figure for its dashboard.

LiteLLM's function knows tiers, regions and the price of each cache's lifetime. Its module loads in some
3 ms, at the first call that used a cache, and nothing of the proxy with it. LiteLLM before it has it has
no such figure either, and nothing is sent.
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
    """Net of what writing to the cache cost, so it may be negative; None where there is nothing to tell.

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
        log.debug("LiteLLM cannot tell what a prompt cache saved: %s", type(error).__name__)
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
        # Not tried again: what fails here, a version or another package, fails at each call.
        log.debug("LiteLLM has no figure of what a prompt cache saved: %s", type(error).__name__)
        return None
    return prompt_caching_savings_for_request
