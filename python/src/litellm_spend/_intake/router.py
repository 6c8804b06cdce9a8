"""Reads what a Router writes into the request of each attempt: its call, and whether it is the call's first attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from .._record.ids import text_of


def is_attempt(kwargs: Mapping[str, Any]) -> bool:
    """Whether a Router made the call. Other calls are passed on at once."""
    return call_of(kwargs) is not None


def call_of(kwargs: Mapping[str, Any]) -> str | None:
    """The id that all attempts of a Router's call share; None outside a Router."""
    if not any(metadata.get("model_group") for metadata in _metadata(kwargs)):
        return None
    trace = kwargs.get("litellm_trace_id") or (kwargs.get("litellm_params") or {}).get("litellm_trace_id")
    return text_of(trace)


def is_first(kwargs: Mapping[str, Any]) -> bool:
    """Whether an attempt is its call's first. LiteLLM 1.79 has no counters, but lists the earlier attempts."""
    for metadata in _metadata(kwargs):
        counters = [metadata.get("attempted_retries"), metadata.get("attempted_fallbacks")]
        if any(counters) or (counters == [None, None] and metadata.get("previous_models")):
            return False
    return True


def sent_at(kwargs: Mapping[str, Any]) -> float | None:
    """When an attempt was sent to the provider, in epoch seconds. LiteLLM's proxy gives all attempts one start."""
    sent = kwargs.get("api_call_start_time")
    return sent.timestamp() if isinstance(sent, datetime) else None


def _metadata(kwargs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The metadata of the request. A Router writes into one or two of these mappings."""
    for source in (kwargs.get("litellm_params"), kwargs):
        if isinstance(source, Mapping):
            for name in ("metadata", "litellm_metadata"):
                if isinstance(metadata := source.get(name), Mapping):
                    yield metadata
