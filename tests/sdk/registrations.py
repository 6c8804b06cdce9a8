"""The ways in which an application registers the callback. Each is called once, before the first call."""

from __future__ import annotations

import litellm


def by_object() -> None:
    from litellm_spend import SpendLogger

    litellm.callbacks = [SpendLogger()]


def by_name() -> None:
    import litellm_spend  # noqa: F401

    litellm.callbacks = ["litellm_spend"]


def by_other_name() -> None:
    import litellm_spend  # noqa: F401

    litellm.success_callback = ["prisma_proxy"]


def by_handler() -> None:
    import litellm_spend

    litellm.callbacks = [litellm_spend.handler]


def twice() -> None:
    from litellm_spend import SpendLogger

    logger = SpendLogger()
    litellm.callbacks = [logger, logger, SpendLogger()]


def in_every_list() -> None:
    from litellm_spend import SpendLogger

    logger = SpendLogger()
    litellm.callbacks = [logger, "litellm_spend"]
    litellm.success_callback = [logger]
    litellm.failure_callback = [logger]


def with_failures() -> None:
    from litellm_spend import SpendLogger

    litellm.callbacks = [SpendLogger(record_failures=True)]


def beside_opentelemetry() -> None:
    """LiteLLM's own callback, with an exporter that counts its spans and prints them at exit."""
    import atexit
    import json

    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from litellm_spend import SpendLogger

    exporter = InMemorySpanExporter()
    litellm.callbacks = [OpenTelemetry(config=OpenTelemetryConfig(exporter=exporter)), SpendLogger()]

    def print_spans() -> None:
        print(json.dumps({"spans": len(exporter.get_finished_spans())}), flush=True)

    atexit.register(print_spans)


REGISTRATIONS = {
    "object": by_object,
    "name": by_name,
    "other_name": by_other_name,
    "handler": by_handler,
    "twice": twice,
    "every_list": in_every_list,
    "failures": with_failures,
    "opentelemetry": beside_opentelemetry,
}
