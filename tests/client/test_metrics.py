"""The counters of stats() are metrics of OpenTelemetry, if the option is on and OpenTelemetry is installed."""

from __future__ import annotations

from sdk.driving import Sdk

from harness.database import Database

OPEN_TELEMETRY = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from litellm_spend.testing import MemorySink

metrics.set_meter_provider(MeterProvider([reader := InMemoryMetricReader()]))

def collected():
    data = reader.get_metrics_data()
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    found = {}
    for scope in scopes:
        if scope.scope.name == "litellm_spend":
            assert scope.scope.version == litellm_spend.__version__
            for metric in scope.metrics:
                [point] = metric.data.data_points
                assert metric.description and not point.attributes
                found[metric.name] = [point.value, metric.unit, type(metric.data).__name__]
    return found

def values(*names):
    found = collected()
    return [found["litellm_spend.record." + name][0] for name in names]
"""


def test_the_metrics_are_what_stats_says(database: Database, litellm: Sdk) -> None:
    code = (
        OPEN_TELEMETRY
        + """
from litellm_spend._metrics import AGES, COUNTERS, LEVELS
litellm.callbacks = [logger := SpendLogger(otel_metrics=True, before_send=lambda r: r if r.get("user") else None)]
assert collected()["litellm_spend.record.captured"][0] == 0
call(user="one")
call(user=None)
logger.flush()
stats, found = logger.stats(), collected()
all_metrics = COUNTERS + LEVELS + AGES
say(found=found, expected={name: [getattr(stats, field) or 0, unit] for field, name, unit, _ in all_metrics})
"""
    )
    said = litellm.run_code(code, url=database.url).sdk
    assert {name: found[:2] for name, found in said["found"].items()} == said["expected"]
    kinds = {name: found[2] for name, found in said["found"].items()}
    assert kinds["litellm_spend.record.sent"] == kinds["litellm_spend.record.queued"] == "Sum"
    assert kinds["litellm_spend.record.oldest.age"] == "Gauge"
    counted = [said["found"][f"litellm_spend.record.{name}"][0] for name in ("captured", "sent", "filtered", "queued")]
    assert counted == [2, 1, 1, 0]


def test_what_waits_has_an_age(newest: Sdk) -> None:
    code = (
        OPEN_TELEMETRY
        + """
litellm.callbacks = [logger := SpendLogger(exit_timeout=0)]
call()
wait_until(lambda: logger.stats().retries, "the server was found to be away")
say(queued=values("queued"), ages=[values("oldest.age"), values("oldest.age")])
"""
    )
    said = newest.run_code(code, url="postgresql://nobody@127.0.0.1:1/nowhere", LITELLM_SPEND_OTEL_METRICS="on").sdk
    [[first], [second]] = said["ages"]
    assert said["queued"] == [1] and 0 < first < second


def test_a_process_reports_the_sums_of_its_loggers_that_report(newest: Sdk) -> None:
    code = (
        OPEN_TELEMETRY
        + """
loggers = [SpendLogger(sink=MemorySink(), otel_metrics=number < 2) for number in range(3)]
for logger in loggers:
    litellm.callbacks = [logger]
    call()
for logger in loggers:
    logger.flush()
say(captured=[logger.stats().captured for logger in loggers], sums=values("captured", "sent"))
"""
    )
    said = newest.run_code(code, url=None).sdk
    assert said["captured"][1] and said["captured"][2], "each logger got a call"
    assert said["sums"] == [sum(said["captured"][:2])] * 2


def test_a_forked_child_reports_its_own(newest: Sdk) -> None:
    code = (
        OPEN_TELEMETRY
        + """
litellm.callbacks = [logger := SpendLogger(sink=MemorySink(), otel_metrics=True)]
for _ in range(3):
    call()
logger.flush()
if os.fork() == 0:
    before = values("captured", "sent")
    call()
    logger.flush()
    say(before=before, after=values("captured", "sent"))
    os._exit(0)
os.wait()
say(parent=values("captured", "sent"))
"""
    )
    assert newest.run_code(code, url=None).reported == [{"before": [0, 0], "after": [1, 1]}, {"parent": [3, 3]}]


def test_a_missing_package_is_told_once_and_calls_are_recorded(newest: Sdk) -> None:
    code = """
from litellm_spend.testing import MemorySink
sys.modules["opentelemetry"] = None
litellm.callbacks = [logger := SpendLogger(sink=MemorySink(), otel_metrics=True)]
SpendLogger(sink=MemorySink(), otel_metrics=True)
call()
logger.flush()
say(sent=logger.stats().sent)
"""
    ran = newest.run_code(code, url=None)
    assert ran.sdk == {"sent": 1}
    assert ran.log_lines() == [
        "litellm_spend: WARNING otel_metrics is on, but OpenTelemetry is not installed, so no metrics are reported: "
        "run pip install 'litellm_spend[otel]'"
    ]


def test_nothing_of_opentelemetry_is_loaded_unless_it_is_on(newest: Sdk) -> None:
    code = OPEN_TELEMETRY + "SpendLogger(sink=MemorySink())\nsay(found=collected())"
    assert newest.run_code(code, url=None).sdk == {"found": {}}
