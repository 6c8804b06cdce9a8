"""Encodes a record as JSON text that Postgres accepts as jsonb: no NUL, no lone surrogate, no NaN, no foreign object.

The C encoder encodes an ordinary record in one call. A record is cleaned value by value and encoded again only if the
encoder refuses it, or if it holds something that jsonb refuses. A caller's own data is always cleaned, and its size is
limited: it may refer to itself, twice at each level, and the C encoder would never end. A mark replaces what was cut,
and one warning per process reports it. Numbers in this data stay exact within the limits of Postgres's numeric.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

from .._log import Once
from .ids import text_of

log = logging.getLogger("litellm_spend")

_DEEPEST: Final = 64
# Cleaning so many values takes about 10 ms.
_MOST_VALUES: Final = 10_000
# Postgres's numeric has at most so many digits before and behind its point.
_MOST_WHOLE_DIGITS: Final = 131_072
_MOST_FRACTION_DIGITS: Final = 16_383
_BEYOND_NUMERIC: Final = 10**_MOST_WHOLE_DIGITS
# Each of so many digits of a number counts as one value.
_DIGITS_OF_VALUE: Final = 16

TOO_DEEP: Final = "<cut: more than 64 levels>"
TOO_MANY: Final = "<cut: more than 10000 values>"
TOO_LARGE: Final = "<cut: a number beyond Postgres's numeric>"
# A number that only text can hold exactly is put into a string after a NUL, which no other cleaned string has.
_EXACT_NUMBER: Final = re.compile(r'"\\u0000([-+.0-9E]+)"')
_encode: Final = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def encode(record: dict[str, Any]) -> str:
    """Encodes `record` as one JSON object. Never raises because of what a caller put into its metadata."""
    try:
        text = _encode(record)
    except (TypeError, ValueError, RecursionError):
        return _encode_exactly(_clean(record, 0, [math.inf], as_text=True))
    # The encoder writes ASCII only, so any NUL or surrogate is one of these escapes.
    if "\\u0000" in text or "\\ud" in text:
        return _encode_exactly(_clean(record, 0, [math.inf], as_text=True))
    return text


def cut(value: Any) -> Any:
    """A copy of a caller's own data that JSON can hold, with at most 64 levels and 10,000 values.

    The copy may hold integers and Decimals, which only `encode` can write.
    """
    return _clean(value, 0, [_MOST_VALUES])


def _encode_exactly(cleaned: Any) -> str:
    return _EXACT_NUMBER.sub(r"\1", _encode(cleaned))


def _clean(value: Any, depth: int, remaining: list[float], *, as_text: bool = False) -> Any:
    """`value` as JSON can hold it, within the limits.

    `remaining` holds one number: how many more values are allowed. `as_text`: write long numbers as `_EXACT_NUMBER`.
    """
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
    # The type shows that something was there. The object's repr could hold a secret.
    return f"<{type(value).__name__}>"


def _up_to_limit(items: list[Any], remaining: list[float], mark: Any) -> Iterator[Any]:
    """The items within the limit. A mark replaces the first item beyond the limit, and the others are dropped."""
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
    # Python refuses to print an integer of more than 4300 digits; Decimal prints it.
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


_warning = Once()


def _mark(mark: str) -> str:
    """Returns the mark for a place where the caller's data was cut. Logs a warning the first time."""
    if _warning.is_first():
        log.warning(
            "spend_logs_metadata is recorded only in part, because it is too large: send less of it. %s marks where "
            "it was cut",
            mark,
        )
    return mark


def _clean_key(key: Any) -> str:
    if key is None or isinstance(key, (bool, float)):
        return str(key)
    text = text_of(key)
    return f"<{type(key).__name__}>" if text is None else _clean_text(text)


def _clean_text(text: str) -> str:
    return str.replace(text, "\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
