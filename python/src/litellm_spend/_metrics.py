"""Reports the counters of `SpendLogger.stats()` as metrics of OpenTelemetry.

Nothing is counted here: OpenTelemetry asks when it collects. A process reports the sums over its loggers. A forked
child reports its own, because its loggers start anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from ._delivery.stats import Stats

log = logging.getLogger("litellm_spend")


class Logger(Protocol):
    def stats(self) -> Stats: ...


# (the field of `Stats`, the name of the metric, its unit, what it counts)
COUNTERS: Final = (
    ("captured", "litellm_spend.record.captured", "{record}", "Records built from LiteLLM's events"),
    ("sent", "litellm_spend.record.sent", "{record}", "Records that the server committed"),
    ("rejected", "litellm_spend.record.rejected", "{record}", "Those that the server put into litellm_spend.rejected"),
    ("refused", "litellm_spend.record.refused", "{record}", "Records that the server refused even alone"),
    ("dropped", "litellm_spend.record.dropped", "{record}", "Lost records"),
    ("filtered", "litellm_spend.record.filtered", "{record}", "Records that before_send dropped"),
    ("recovered", "litellm_spend.record.recovered", "{record}", "Records of earlier processes that this one sent"),
    ("set_aside", "litellm_spend.record.set_aside", "{record}", "Records of the spool that are too old to be sent"),
    ("retries", "litellm_spend.send.retries", "{attempt}", "Attempts to send that failed and are repeated"),
    ("unpriced", "litellm_spend.call.unpriced", "{call}", "Successful calls without a price"),
    ("unusable_ids", "litellm_spend.id.unusable", "{id}", "Ids for which nobody is charged"),
)
LEVELS: Final = (
    ("queued", "litellm_spend.record.queued", "{record}", "Records that wait, or are on their way to the server"),
    ("spooled", "litellm_spend.record.spooled", "{record}", "Those of the queued records that are in the spool"),
    ("held", "litellm_spend.record.held", "{record}", "Failed attempts that are held until it is known how they count"),
)
AGES: Final = (
    ("oldest_unsent_seconds", "litellm_spend.record.oldest.age", "s", "The age of the oldest queued record"),
    ("sending_seconds", "litellm_spend.send.age", "s", "How long the current attempt to send has run"),
)

# A logger that reports is kept, so that no sum falls.
_loggers: list[Logger] = []


def report(logger: Logger, version: str) -> None:
    """Adds a logger to the reported ones. Never raises."""
    _loggers.append(logger)
    if len(_loggers) > 1:
        return
    try:
        from opentelemetry import metrics
    except ImportError:
        log.warning(
            "otel_metrics is on, but OpenTelemetry is not installed, so no metrics are reported: run "
            "pip install 'litellm_spend[otel]'"
        )
        return
    try:
        _create_instruments(metrics, version)
    except Exception as error:
        log.warning("OpenTelemetry takes no metrics, so none are reported: %s", type(error).__name__)


def _create_instruments(metrics: Any, version: str) -> None:
    meter = metrics.get_meter("litellm_spend", version)

    def observe(field: str, over: Callable[[Iterable[Any]], Any]) -> list[Callable[[Any], list[Any]]]:
        return [lambda _: [metrics.Observation(over([getattr(logger.stats(), field) for logger in list(_loggers)]))]]

    for field, name, unit, description in COUNTERS:
        meter.create_observable_counter(name, observe(field, sum), unit, description)
    for field, name, unit, description in LEVELS:
        meter.create_observable_up_down_counter(name, observe(field, sum), unit, description)
    for field, name, unit, description in AGES:
        meter.create_observable_gauge(name, observe(field, _longest), unit, description)


def _longest(ages: Iterable[float | None]) -> float:
    return max((age for age in ages if age is not None), default=0.0)
