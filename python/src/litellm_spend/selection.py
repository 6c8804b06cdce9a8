"""The members of a mapping that are on the allow list, in two steps: to take them, and to shape them.

Taking is what the thread that calls LiteLLM waits for: a call into C or two for a mapping. Names, types and
nesting are left to the shaping, on another thread; it drops a value that is no string, number or boolean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from .encode import cut
from .fields import ANY, LIST, Counts, Fields

SCALARS: Final = (str, int, float, bool)
# The exact types first: they are nearly all that is seen.
_EXACT: Final = frozenset(SCALARS)


class Selection:
    """A mapping that may hold a prompt beside the members on the list, so only those are taken."""

    def __init__(self, fields: Fields) -> None:
        scalars = [name for name, rule in fields.items() if rule is None]
        others = [name for name, rule in fields.items() if rule is not None]
        self._names = (*scalars, *others)
        self._others = [(place, *_steps(fields[name])) for place, name in enumerate(others, len(scalars))]

    def take(self, source: Any) -> list[Any] | None:
        """The members in the list's order, None for each that is missing; None if `source` is no mapping."""
        if type(source) is not dict and not isinstance(source, Mapping):
            return None
        taken = list(map(source.get, self._names))
        for place, take, _ in self._others:
            if taken[place] is not None:
                taken[place] = take(taken[place])
        return taken

    def shape(self, taken: list[Any]) -> dict[str, Any]:
        """The mapping with the members that are there."""
        shaped = _scalars(zip(self._names, taken, strict=True))
        for place, _, shape in self._others:
            if taken[place] is not None:
                shaped[self._names[place]] = shape(taken[place])
        return shaped


class Copy:
    """A mapping of counts and prices: it is copied as it is, and selected from later."""

    def __init__(self, fields: Counts) -> None:
        self._names = fields.keys()
        self._members = [(name, Copy(rule)) for name, rule in fields.items() if rule is not None]

    def take(self, source: Any) -> dict[str, Any] | None:
        """A copy; None if `source` is no mapping."""
        if type(source) is not dict and not isinstance(source, Mapping):
            return None
        taken = dict(source)
        for name, member in self._members:
            if taken.get(name) is not None:
                taken[name] = member.take(taken[name])
        return taken

    def shape(self, taken: dict[str, Any]) -> dict[str, Any]:
        """The members on the list."""
        shaped = _scalars((name, value) for name, value in taken.items() if name in self._names)
        for name, member in self._members:
            if taken.get(name) is not None:
                shaped[name] = member.shape(taken[name])
        return shaped


def is_scalar(value: Any) -> bool:
    return isinstance(value, SCALARS)


def _scalars(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: value
        for name, value in members
        if value is not None and (type(value) in _EXACT or isinstance(value, SCALARS))
    }


def _steps(rule: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How a member of this rule is taken and shaped."""
    if rule is LIST:
        return _copy_list, _shape_list
    if rule is ANY:
        return cut, _as_taken
    member = Copy(rule) if isinstance(rule, Counts) else Selection(rule)
    return member.take, member.shape


def _copy_list(value: Any) -> list[Any] | None:
    return list(value) if isinstance(value, (list, tuple)) else None


def _shape_list(taken: list[Any]) -> list[Any]:
    return [item for item in taken if isinstance(item, SCALARS)]


def _as_taken(value: Any) -> Any:
    return value
