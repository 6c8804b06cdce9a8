"""The kinds of options: what an argument must be, and how the text of an environment variable is read.

No kind tells the value that it refuses, because that may be a secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ON: Final = frozenset(("on", "true", "yes", "1"))
_OFF: Final = frozenset(("off", "false", "no", "0"))
# Python's locks and sockets take no wait of years.
_LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True)
class Kind:
    """What values an option takes. Both functions raise a ValueError or a TypeError for any other value."""

    argument: str
    """What an argument must be; it completes "must be ..."."""
    text: str
    """What the text of the variable must be; it completes "must be ..."."""
    from_argument: Callable[[Any], Any]
    """The value of an argument."""
    from_text: Callable[[str], Any]
    """The value of the text of a variable, which is stripped and not empty."""


def whole_number(least: int, most: int | None = None) -> Kind:
    """An integer within the bounds."""

    def within(value: Any) -> int:
        _accept(type(value) is int and value >= least and (most is None or value <= most))
        return int(value)

    wanted = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    return Kind(wanted, wanted, within, lambda text: within(int(text)))


def seconds(least: float) -> Kind:
    """A number of seconds, at most a day."""

    def within(value: Any) -> float:
        _accept(type(value) in (int, float) and least <= value <= _LONGEST_WAIT)
        return float(value)

    wanted = f"a number of seconds from {least:g} to {_LONGEST_WAIT:.0f}"
    return Kind(wanted, wanted, within, lambda text: within(float(text)))


def switch() -> Kind:
    """On or off."""

    def boolean(value: Any) -> bool:
        _accept(type(value) is bool)
        return bool(value)

    def word(text: str) -> bool:
        _accept(text.lower() in _ON | _OFF)
        return text.lower() in _ON

    return Kind("True or False", "on or off", boolean, word)


def text() -> Kind:
    """A string."""

    def string(value: Any) -> str:
        _accept(isinstance(value, str))
        return str.__str__(value)

    return Kind("a string", "a text", string, string)


def folder() -> Kind:
    """The path of a folder."""

    def path(value: Any) -> str:
        path = os.fspath(value)
        _accept(isinstance(path, str))
        return str(path)

    return Kind("the path of a folder", "the path of a folder", path, path)


def tags() -> Kind:
    """A list of strings."""

    def strings(value: Any) -> tuple[str, ...]:
        _accept(isinstance(value, (list, tuple)) and all(isinstance(tag, str) for tag in value))
        return tuple(dict.fromkeys(map(str.__str__, value)))

    def separated(text: str) -> tuple[str, ...]:
        return strings([tag for tag in map(str.strip, text.split(",")) if tag])

    return Kind("a list of strings", "tags with a comma between them", strings, separated)


def members() -> Kind:
    """The members of a JSON object."""

    def mapping(value: Any) -> dict[str, Any]:
        _accept(isinstance(value, Mapping) and all(isinstance(name, str) for name in value))
        return dict(value)

    return Kind("a dict with strings as keys", "a JSON object", mapping, lambda text: mapping(json.loads(text)))


def function() -> Kind:
    """A function. A variable names it. Whoever calls it loads it first, and handles a name that cannot be loaded."""

    def callable_object(value: Any) -> Any:
        _accept(callable(value))
        return value

    return Kind("a function", "the name of a function, as in package.module:function", callable_object, str)


def _accept(is_wanted: bool) -> None:
    if not is_wanted:
        raise ValueError
