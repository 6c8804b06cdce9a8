"""Calls the application's `before_send` with a record, and keeps it from changing which request the record is of.

The function may change or drop a record. The fields that tell the request apart from others, and so decide that it
counts once, stay as they were. The function cannot end the sender: a record for which it fails is dropped.
"""

from __future__ import annotations

import copy
import importlib
import logging
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, Final

from .._log import RateLimitedLog
from .._record.encode import cut
from .._record.retrievals import NAMED_BY_PRICE
from .._settings import BeforeSend, variable

log = logging.getLogger("litellm_spend")

Record = dict[str, Any]

# What the server derives the id of a request and its holder from (core/src/record/reader.rs and holder.rs), and the
# mark of a request that no proxy counts.
_IN_METADATA: Final = ("litellm_call_id", "status", "internal_call_origin", "made_outside_proxy")
IDENTITY: Final = ("id", "request_id", "startTime", "call_type", *_IN_METADATA)
_WITH_PRICE: Final = (*IDENTITY, "response_cost", "cost_breakdown")


class BeforeSendError(Exception):
    """The function that a variable names cannot be loaded. Records wait: it may remove what must not be sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{variable('before_send')} must be the name of a function, as in package.module:function, and it cannot "
            f"be loaded ({reason}): correct it"
        )


class Filter:
    """One logger's `before_send`. A forked child needs a new one."""

    def __init__(self, function: BeforeSend | str) -> None:
        self._function = function
        self._log_error = RateLimitedLog().error
        self._has_warned = False

    def apply(self, record: Record) -> Record | None:
        """The record to send; None if it is dropped."""
        function = self.load()
        names = _WITH_PRICE if record.get("call_type") in NAMED_BY_PRICE else IDENTITY
        before, in_metadata = _members(record, names), _members(record.get("metadata") or {}, _IN_METADATA)
        try:
            changed = function(record)
            if changed is None:
                return None
            if not isinstance(changed, dict) or not isinstance(changed.get("metadata", {}), dict):
                raise TypeError
            changed = _bounded(changed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() would end the sender
            self._log_error(
                "a spend record is dropped because before_send raised an exception or returned neither a record nor "
                f"None: correct the function: {type(error).__name__}"
            )
            return None
        metadata = changed.get("metadata", {})
        restored = _restore(changed, before) + _restore(metadata, in_metadata)
        if metadata:
            changed["metadata"] = metadata
        if restored and not self._has_warned:
            self._has_warned = True
            log.warning(
                "before_send changed %s, which tells a request apart from others, so it was set back: do not change it",
                restored[0],
            )
        return changed

    def load(self) -> BeforeSend:
        """The function. If a variable names it, it is imported now, because its module may create the logger."""
        if isinstance(self._function, str):
            module, _, name = self._function.partition(":")
            try:
                loaded = reduce(getattr, name.split("."), importlib.import_module(module))
            except Exception as error:
                raise BeforeSendError(type(error).__name__) from None
            if not callable(loaded):
                raise BeforeSendError("it is no function")
            self._function = loaded
        return self._function


def _members(mapping: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A copy of these members; None for each missing one."""
    return {name: copy.deepcopy(mapping.get(name)) for name in names}


def _restore(mapping: dict[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Sets members back that are not what they were. Returns their names."""
    changed = [name for name, value in before.items() if not _is_same(mapping.get(name), value)]
    for name in changed:
        if before[name] is None:
            del mapping[name]
        else:
            mapping[name] = before[name]
    return changed


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _bounded(record: Record) -> Record:
    """A copy that JSON can hold. A function may put an object into the record, or one that refers to itself."""
    bounded = {str(name): value if name == "metadata" else cut(value) for name, value in record.items()}
    if "metadata" in bounded:
        bounded["metadata"] = {str(name): cut(value) for name, value in bounded["metadata"].items()}
    return bounded
