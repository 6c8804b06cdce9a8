"""Converts ids and other scalars to Python's own types. Applications also name a user or team by UUID, number or Enum.

Records that wait for the sender are marshalled, and `marshal` reads a foreign number as a buffer of bytes. So these
functions return only the exact built-in types. They call the methods of the built-in types, because an application's
subclass may print anything, or raise.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

from .._log import Once

log = logging.getLogger("litellm_spend")

Scalar = str | int | float | bool
ReportUnusable = Callable[[str, Any], None]
"""A function that is called with the field and value of an id that cannot be used."""

# Nearly all values are of these exact types.
TEXT: Final = frozenset((str, type(None)))
PLAIN: Final = TEXT | {int, float, bool}
# Beyond this, a float stands for several whole numbers.
_WHOLE: Final = 2.0**53


def plain(value: Any) -> Scalar | None:
    """`value` as a string, number or boolean of the exact built-in type; None if it is none of these. Never raises."""
    if type(value) in PLAIN:
        found: Scalar | None = value
        return found
    try:
        return _plain(value)
    except Exception:
        return None


def text_of(value: Any) -> str | None:
    """The text of an id that is a string, number, UUID, Enum of these or bytes of UTF-8; else None. Never raises."""
    if type(value) is str:
        return value
    try:
        return _text(value)
    except Exception:
        return None


def id_of(name: str, value: Any, report_unusable: ReportUnusable) -> str | None:
    """The text of an id. Reports an id that has no text."""
    if value is None or type(value) is str:
        return value
    text = text_of(value)
    if text is None:
        report_unusable(name, value)
    return text


def _plain(value: Any) -> Scalar | None:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (Real, Decimal)):
        return float(value)
    if isinstance(value, Enum):
        return plain(value.value)
    return _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if isinstance(value, Decimal):
        return Decimal.__str__(value) if value.is_finite() else None
    if isinstance(value, Enum) and not isinstance(value, (int, float)):
        return text_of(value.value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode()
    number = plain(value) if isinstance(value, Real) else None
    if type(number) is float:
        # A column of integers with a missing value is often read as floats.
        number = int(number) if number.is_integer() and abs(number) < _WHOLE else number
        return repr(number) if number - number == 0 else None
    return repr(number) if type(number) is int else None


class UnusableIds:
    """Counts ids that have no text. For the first one in the process, a warning names the field and the type."""

    _warning = Once()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def report_unusable(self, name: str, value: Any) -> None:
        with self._lock:
            self.count += 1
        if not UnusableIds._warning.is_first():
            return
        log.warning(
            "%s is a %s, which is no id, so nobody is charged by it. Pass a string, a number, a UUID or an Enum of "
            "these. stats().unusable_ids counts such ids",
            name,
            type(value).__name__,
        )
