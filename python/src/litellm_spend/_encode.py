"""A record as JSON text that Postgres takes as jsonb: no NUL, no lone surrogate, no NaN, no foreign object.

The C encoder does the ordinary record at once; only what it refuses, or what holds something that
jsonb refuses, is cleaned value by value and encoded again. A caller's own data is cleaned in any case and
cut to a size: it may refer to itself, twice at each level, and the C encoder would not come to an end.
What was cut bears a mark in its place, and one warning a process tells of it. Its numbers stay exact, as far as
Postgres's numeric goes.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

from ._ids import text_of

log = logging.getLogger("litellm_spend")

_DEEPEST: Final = 64
# To clean as many takes some 10 ms.
_MOST_VALUES: Final = 10_000
# Postgres's numeric has no more before and behind its point.
_MOST_WHOLE_DIGITS: Final = 131_072
_MOST_FRACTION_DIGITS: Final = 16_383
_BEYOND_NUMERIC: Final = 10**_MOST_WHOLE_DIGITS
# So many digits of a number count as one value.
_DIGITS_OF_VALUE: Final = 16

TOO_DEEP: Final = "<cut: more than 64 levels>"
TOO_MANY: Final = "<cut: more than 10000 values>"
TOO_LARGE: Final = "<cut: a number beyond Postgres's numeric>"
# A number that only its text can tell waits in a string, behind a NUL, which no other cleaned string holds.
_EXACT_NUMBER: Final = re.compile(r'"\\u0000([-+.0-9E]+)"')
_encode: Final = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def encode(record: dict[str, Any]) -> str:
    """`record` as one JSON object. Never raises for what a caller may have put into its metadata."""
    try:
        text = _encode(record)
    except (TypeError, ValueError, RecursionError):
        return _encode_exactly(_clean(record, 0, [math.inf], as_text=True))
    # Any NUL or surrogate is one of these escapes, as the encoder writes ASCII only.
    if "\\u0000" in text or "\\ud" in text:
        return _encode_exactly(_clean(record, 0, [math.inf], as_text=True))
    return text


def cut(value: Any) -> Any:
    """A copy of a caller's own data as JSON can hold it, of 64 levels and 10,000 values at most.

    It holds integers and Decimals that only `encode` can write.
    """
    return _clean(value, 0, [_MOST_VALUES])


def _encode_exactly(cleaned: Any) -> str:
    return _EXACT_NUMBER.sub(r"\1", _encode(cleaned))


def _clean(value: Any, depth: int, remaining: list[float], *, as_text: bool = False) -> Any:
    """`left` holds one number: how many values there may still be. `as_text`: numbers as `_EXACT_NUMBER` has them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _clean(value.value, depth, remaining, as_text=as_text)
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, Integral):
        return _clean_integer(int(value), remaining, as_text)
    if isinstance(value, Decimal):
        return _clean_decimal(value, remaining, as_text)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        if depth >= _DEEPEST:
            return _mark(TOO_DEEP)
        items = _up_to_limit(list(value.items()), remaining, ("<cut>", TOO_MANY))
        return {_clean_key(key): _clean(item, depth + 1, remaining, as_text=as_text) for key, item in items}
    if isinstance(value, (list, tuple, set, frozenset)):
        if depth >= _DEEPEST:
            return _mark(TOO_DEEP)
        return [
            _clean(item, depth + 1, remaining, as_text=as_text)
            for item in _up_to_limit(list(value), remaining, TOO_MANY)
        ]
    # The type tells that something was there; its repr might hold anything.
    return f"<{type(value).__name__}>"


def _up_to_limit(items: list[Any], remaining: list[float], mark: Any) -> Iterator[Any]:
    """The items for which there is room; the first one for which there is none is a mark, and the others go."""
    for item in items:
        if remaining[0] <= 0:
            if remaining[0] > -math.inf:
                remaining[0] = -math.inf
                _mark(TOO_MANY)
                yield mark
            return
        remaining[0] -= 1
        yield item


def _clean_integer(number: int, remaining: list[float], as_text: bool) -> Any:
    if number.bit_length() < 64:
        return number
    if not -_BEYOND_NUMERIC < number < _BEYOND_NUMERIC:
        return _mark(TOO_LARGE)
    remaining[0] -= number.bit_length() / (math.log2(10) * _DIGITS_OF_VALUE)
    # Python itself prints no integer of more than 4300 digits.
    return f"\0{Decimal(number)}" if as_text else number


def _clean_decimal(number: Decimal, remaining: list[float], as_text: bool) -> Any:
    if not number.is_finite():
        return None
    text, digits = Decimal.__str__(number), number.adjusted() + 1
    if digits > _MOST_WHOLE_DIGITS or len(text) > _MOST_WHOLE_DIGITS + _MOST_FRACTION_DIGITS + 2:
        return _mark(TOO_LARGE)
    exponent = int(number.as_tuple().exponent)
    if -exponent > _MOST_FRACTION_DIGITS:
        return _mark(TOO_LARGE)
    remaining[0] -= max(abs(digits), abs(exponent)) / _DIGITS_OF_VALUE
    return f"\0{text}" if as_text else number


_warning = threading.Lock()
_is_warned = False


def _mark(mark: str) -> str:
    """What stands where the caller's data was cut; the first time it is told."""
    global _is_warned
    with _warning:
        was_warned, _is_warned = _is_warned, True
    if not was_warned:
        log.warning("spend_logs_metadata is recorded without what was too much of it; %s marks the place", mark)
    return mark


def _clean_key(key: Any) -> str:
    if key is None or isinstance(key, (bool, float)):
        return str(key)
    text = text_of(key)
    return f"<{type(key).__name__}>" if text is None else _clean_text(text)


def _clean_text(text: str) -> str:
    return str.replace(text, "\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
