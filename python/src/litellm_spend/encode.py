"""A record as JSON text that Postgres takes as jsonb: no NUL, no lone surrogate, no NaN, no foreign object.

The C encoder does the ordinary record at once; only what it refuses, or what holds something that
jsonb refuses, is cleaned value by value and encoded again. A caller's own data is cleaned in any case and
cut to a size: it may refer to itself, twice at each level, and the C encoder would not come to an end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

_DEEPEST: Final = 64
# To clean as many takes some 10 ms.
_MOST_VALUES: Final = 10_000
_encode: Final = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def encode(record: dict[str, Any]) -> str:
    """`record` as one JSON object. Never raises for what a caller may have put into its metadata."""
    try:
        text = _encode(record)
    except (TypeError, ValueError, RecursionError):
        return _encode(_clean(record, 0, [math.inf]))
    # Any NUL or surrogate is one of these escapes, as the encoder writes ASCII only.
    if "\\u0000" in text or "\\ud" in text:
        return _encode(_clean(record, 0, [math.inf]))
    return text


def cut(value: Any) -> Any:
    """A copy of a caller's own data as JSON can hold it, of 64 levels and 10,000 values at most."""
    return _clean(value, 0, [_MOST_VALUES])


def _clean(value: Any, depth: int, left: list[float]) -> Any:
    """`left` holds one number: how many values there may still be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _clean(value.value, depth, left)
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, int):
        # Python refuses to print integers of more than 4300 digits.
        return int(value) if value.bit_length() < 1024 else None
    if isinstance(value, (float, Decimal)):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if depth >= _DEEPEST:
        return None
    if isinstance(value, dict):
        return {_clean_key(key): _clean(item, depth + 1, left) for key, item in _take(list(value.items()), left)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, depth + 1, left) for item in _take(list(value), left)]
    # The type tells that something was there; its repr might hold anything.
    return f"<{type(value).__name__}>"


def _take(items: list[Any], left: list[float]) -> Iterator[Any]:
    for item in items:
        if left[0] <= 0:
            return
        left[0] -= 1
        yield item


def _clean_key(key: Any) -> str:
    return _clean_text(key) if isinstance(key, str) else str(_clean(key, _DEEPEST, [0]))


def _clean_text(text: str) -> str:
    return str.replace(text, "\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
