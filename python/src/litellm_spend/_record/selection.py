"""Copies the members of a mapping that are on the allow list, in two steps: `take` and `shape`.

The thread that calls LiteLLM waits for `take`. It needs one or two calls into C for a mapping of exact types, and drops
values that are no string, number or boolean. `shape` adds names and nesting on another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, Final

from .encode import cut
from .fields import ANY, ID, IDS, LIST, Counts, Fields
from .ids import PLAIN, TEXT, ReportUnusable, id_of, plain

_PLAIN_OR_NESTED: Final = PLAIN | {dict, list, tuple}
_ONLY_TEXT: Final = frozenset((str,))


class Selection:
    """The rules for a mapping that may also hold a prompt, so only the members on the list are copied."""

    def __init__(self, fields: Fields) -> None:
        ids = [name for name, rule in fields.items() if rule is ID]
        scalars = [name for name, rule in fields.items() if rule is None]
        others = [name for name, rule in fields.items() if rule is not None and rule is not ID]
        self._names = (*ids, *scalars, *others)
        self._ids = len(ids)
        self._scalars = slice(len(ids), len(ids) + len(scalars))
        self._others = [(place, *_steps(name, fields[name])) for place, name in enumerate(others, self._scalars.stop)]

    def take(self, source: Any, report_unusable: ReportUnusable) -> list[Any] | None:
        """The members in the order of the list, None for each missing one; None if `source` is no mapping."""
        if type(source) is not dict and not isinstance(source, Mapping):
            return None
        taken = list(map(source.get, self._names))
        if self._ids and not TEXT.issuperset(map(type, taken[: self._ids])):
            taken[: self._ids] = map(id_of, self._names, taken[: self._ids], repeat(report_unusable))
        if not PLAIN.issuperset(map(type, taken[self._scalars])):
            taken[self._scalars] = map(plain, taken[self._scalars])
        for place, take, _ in self._others:
            if taken[place] is not None:
                taken[place] = take(taken[place], report_unusable)
        return taken

    def shape(self, taken: list[Any]) -> dict[str, Any]:
        """Builds the mapping of the members that are not None."""
        shaped = _scalars(zip(self._names, taken[: self._scalars.stop], strict=False))
        for place, _, shape in self._others:
            if taken[place] is not None:
                shaped[self._names[place]] = shape(taken[place])
        return shaped


class Copy:
    """The rules for a mapping of counts and prices. It is copied whole, and its members are selected later."""

    def __init__(self, fields: Counts) -> None:
        self._names = fields.keys()
        self._members = [(name, Copy(rule)) for name, rule in fields.items() if rule is not None]

    def take(self, source: Any, report_unusable: ReportUnusable) -> dict[str, Any] | None:
        """A copy; None if `source` is no mapping."""
        if type(source) is not dict and not isinstance(source, Mapping):
            return None
        taken = dict(source)
        for name, member in self._members:
            if taken.get(name) is not None:
                taken[name] = member.take(taken[name], report_unusable)
        if not _PLAIN_OR_NESTED.issuperset(map(type, taken.values())):
            for name in self._names & taken.keys():
                if type(taken[name]) not in _PLAIN_OR_NESTED:
                    taken[name] = plain(taken[name])
        return taken

    def shape(self, taken: dict[str, Any]) -> dict[str, Any]:
        """Selects the members on the list."""
        shaped = _scalars((name, value) for name, value in taken.items() if name in self._names)
        for name, member in self._members:
            if taken.get(name) is not None:
                shaped[name] = member.shape(taken[name])
        return shaped


def _scalars(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in members if value is not None and type(value) in PLAIN}


def _steps(name: str, rule: Any) -> tuple[Callable[[Any, ReportUnusable], Any], Callable[[Any], Any]]:
    """The functions that take and shape a member with this rule."""
    if rule is LIST:
        return _copy_list, _as_taken
    if rule is IDS:
        return lambda value, report_unusable: _copy_ids(name, value, report_unusable), _as_taken
    if rule is ANY:
        return lambda value, _: cut(value), _as_taken
    member = Copy(rule) if isinstance(rule, Counts) else Selection(rule)
    return member.take, member.shape


def _copy_list(value: Any, _: ReportUnusable) -> list[Any] | None:
    if not isinstance(value, (list, tuple)):
        return None
    return [item for item in map(plain, value) if item is not None]


def _copy_ids(name: str, value: Any, report_unusable: ReportUnusable) -> list[Any] | None:
    if not isinstance(value, (list, tuple)):
        return None
    if _ONLY_TEXT.issuperset(map(type, value)):
        return list(value)
    return [text for item in value if (text := id_of(name, item, report_unusable)) is not None]


def _as_taken(value: Any) -> Any:
    return value
