"""When a call started. A call has one start in all of LiteLLM's reports of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def start_of(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Any:
    """When a call started, in epoch seconds. It is the same in all reports of a call."""
    logged_from = kwargs.get("start_time")
    if payload.get("status") == "failure" and isinstance(logged_from, datetime):
        return logged_from.timestamp()
    return payload.get("startTime")
