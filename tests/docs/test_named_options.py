"""python/README.md names each option of the callback with its variable and default, and each metric."""

from __future__ import annotations

import dataclasses
import re
import sys

from harness.postgres import PROJECT

sys.path.insert(0, str(PROJECT / "python" / "src"))

from litellm_spend import _metrics
from litellm_spend._settings import Settings, shown, variable

README = (PROJECT / "python" / "README.md").read_text()
OPTION = re.compile(r"^\| `(\w+)` \| `(LITELLM_SPEND_\w+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
METRIC = re.compile(r"^\| `(litellm_spend[.\w]+)` \| ([^|]+) \| `([^`]+)` \| ([^|]+) \|$", re.MULTILINE)


def test_each_option_has_its_variable_and_its_default_in_the_table() -> None:
    documented = {name: (named, default) for name, named, default, _ in OPTION.findall(README)}
    assert documented == {
        option.name: (variable(option.name), shown(option.default)) for option in dataclasses.fields(Settings)
    }


def test_each_metric_has_its_kind_and_its_unit_in_the_table() -> None:
    kinds = {"counter": _metrics.COUNTERS, "up-down counter": _metrics.LEVELS, "gauge": _metrics.AGES}
    declared = [(name, kind, unit) for kind, metrics in kinds.items() for _, name, unit, _ in metrics]
    assert [(name, kind, unit) for name, kind, unit, _ in METRIC.findall(README)] == declared
