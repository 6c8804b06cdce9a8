"""The options of `SpendLogger`. Each is declared once, with its default, its bounds and what it means.

A value comes from the argument, else from the variable LITELLM_SPEND_<NAME>, else it is the default. A wrong argument
raises. A wrong variable is reported and the default is used, because LiteLLM may create the logger within a call.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

from . import _kinds
from ._kinds import Kind

log = logging.getLogger("litellm_spend")

PREFIX: Final = "LITELLM_SPEND_"
BeforeSend = Callable[[dict[str, Any]], "dict[str, Any] | None"]
# Its variables are read at first use, because an application may set them after it has created the logger.
_READ_AT_FIRST_USE: Final = "database_url"

_reported: set[str] = set()


def _option(default: Any, kind: Kind, meaning: str, *, is_secret: bool = False) -> Any:
    return field(default=default, repr=not is_secret, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """The values of all options."""

    database_url: str | None = _option(
        None, _kinds.text(), "the database; after its own variable DATABASE_URL is read", is_secret=True
    )
    batch_size: int = _option(500, _kinds.whole_number(1, 1_000_000), "the most records in one call to the server")
    flush_interval: float = _option(0.1, _kinds.seconds(0), "the seconds that a record waits for others")
    max_queue: int = _option(
        50_000, _kinds.whole_number(1), "the most records that are kept while the server is away; more are dropped"
    )
    record_failures: bool = _option(
        False, _kinds.switch(), "also record failed calls that cost nothing, and count all failed calls as requests"
    )
    flush_at_sigterm: bool = _option(
        True, _kinds.switch(), "also send the captured records when SIGTERM ends the process"
    )
    exit_timeout: float = _option(
        5.0, _kinds.seconds(0), "the seconds that the end of the process waits until the records are sent"
    )
    enabled: bool = _option(True, _kinds.switch(), "if off, nothing is recorded")
    default_team: str | None = _option(None, _kinds.text(), "the team that is charged for calls that name none")
    default_tags: tuple[str, ...] = _option((), _kinds.tags(), "tags that each call gets in addition to its own")
    default_metadata: Mapping[str, Any] | None = _option(
        None, _kinds.members(), "members of spend_logs_metadata that each call gets unless it has them itself"
    )
    before_send: BeforeSend | str | None = _option(  # noqa: RUF009, because `field` may be called here
        None, _kinds.function(), "a function that may change or drop each record before it is sent"
    )
    otel_metrics: bool = _option(False, _kinds.switch(), "report the counters of stats() through OpenTelemetry")
    send_timeout: float = _option(30.0, _kinds.seconds(1), "the seconds after which a call to the server is given up")
    spool_dir: str | None = _option(None, _kinds.folder(), "the folder in which unsent records outlive the process")
    spool_max_mb: int = _option(1024, _kinds.whole_number(1), "the most megabytes that the spool takes on disk")


def read(arguments: Mapping[str, Any]) -> Settings:
    """The settings of a logger. An argument that is None or missing is not given. Other members are ignored.

    Raises ValueError if an argument is wrong.
    """
    values = {}
    for option in fields(Settings):
        kind: Kind = option.metadata["kind"]
        argument = arguments.get(option.name)
        if argument is not None:
            try:
                values[option.name] = kind.from_argument(argument)
            except (TypeError, ValueError):
                raise ValueError(f"SpendLogger(...): {option.name} must be {kind.argument}") from None
        elif option.name != _READ_AT_FIRST_USE:
            values[option.name] = _from_variable(option, kind)
    return Settings(**values)


def variable(name: str) -> str:
    """The environment variable of an option."""
    return PREFIX + name.upper()


def shown(default: Any) -> str:
    """A default as the documents and messages show it."""
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default or "none")


def _from_variable(option: Field[Any], kind: Kind) -> Any:
    name = variable(option.name)
    text = os.environ.get(name, "").strip()
    if not text:
        return option.default
    try:
        return kind.from_text(text)
    except (TypeError, ValueError):
        if name not in _reported:
            _reported.add(name)
            log.error(
                "the environment variable %s must be %s: correct it. Until then the default is used: %s",
                name,
                kind.text,
                shown(option.default),
            )
        return option.default
