"""Texts of the database and numbers, as a terminal and a page show them."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

# Control characters, line ends, and the marks that turn the direction of a text: they would change more than a name.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """The text with a replacement character for each character that controls a terminal or the direction of writing."""
    return "".join("\ufffd" if unicodedata.category(character) in _UNSAFE else character for character in text)


def digits_for(total: Decimal) -> int:
    """How many digits behind the point the amounts of a report have, so that the small ones of its total are seen."""
    return 2 if not total.is_finite() or abs(total) >= 1000 else 4 if abs(total) >= Decimal("0.1") else 6


def dollars(amount: Decimal, digits: int) -> str:
    """An amount. One too small for these digits is no zero."""
    if not amount.is_finite():
        return str(amount)
    unit = Decimal(1).scaleb(-digits)
    if amount and abs(amount) < unit:
        return f"{'<' if amount > 0 else '>-'}${unit:.{digits}f}"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def count(number: int, noun: str = "") -> str:
    """A whole number with separators, and the noun in its number."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: Decimal, whole: Decimal) -> str:
    """The percentage that a part is of the whole; empty if there is no whole."""
    if not (part.is_finite() and whole.is_finite()) or whole <= 0:
        return ""
    return f"{100 * part / whole:.1f}%"


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}s"
    return f"{seconds:.1f} s"
