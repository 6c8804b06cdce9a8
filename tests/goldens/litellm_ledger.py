"""What LiteLLM's ledger writes for the golden cases, in a database of ours."""

from __future__ import annotations

import copy
import json
from typing import Any

from harness.program import Program

from .case import FLUSHED_APART, FOLDER, Golden
from .expectation import of_ledger
from .expected import Expected
from .rules import OF_EVERY_CASE, each_string_tag_once
from .runner import WITH_PROMPTS
from .shapes import Shape
from .state import State, differences
from .verdicts import VERDICTS

# The cases that LiteLLM's queues and its ledger count differently. The ledger counts as the fold does, so it keeps the
# named rule too.
KEPT_BY_THE_LEDGER = {"tags_non_string": each_string_tag_once}
SCRIPT = FOLDER / "charge_by_ledger.py"
# Cases that LiteLLM ran with a budget of the whole proxy.
WITH_PROXY_BUDGET = {"global_proxy_budget_user"}
# The time zone of the process whose naive times are local.
TIME_ZONES = {"naive_local_time_la": "America/Los_Angeles"}
CHARGED = "charged\n"


class LiteLLMLedger:
    """LiteLLM's own writer and projector, in a program that runs `charge_by_ledger.py`."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def charge(self, case: dict[str, Any]) -> None:
        """Charge the requests of a case in the form of cases.jsonl, in the batches in which LiteLLM flushed them."""
        name, requests = case["name"], case["requests"]
        line = {
            "batches": [[request] for request in requests] if name in FLUSHED_APART else [requests],
            "stores_prompts": name in WITH_PROMPTS,
            "max_budget": 100.0 if name in WITH_PROXY_BUDGET else 0.0,
            "time_zone": TIME_ZONES.get(name, "UTC"),
        }
        self._program.stdin.write(json.dumps(line) + "\n")
        answer = self._program.stdout.readline()
        assert answer == CHARGED, f"{name}: {answer}{self._program.log()}"


def expectation_beside(case: Golden, shape: Shape, before: State, charged: State) -> State:
    """The state that the case must lead to from `before`, where LiteLLM's ledger leads to `charged`."""
    expected = Expected(case, shape, before, of_ledger(case, before, charged))
    for rule in VERDICTS[case.name].rules:
        untouched = copy.deepcopy(expected.state)
        if shape in rule.shapes:
            rule.apply(expected)
            is_new = bool(differences(untouched, expected.state))
            assert is_new == (KEPT_BY_THE_LEDGER.get(case.name) is not rule), f"{rule.name} in {case.name}"
    for rule in OF_EVERY_CASE:
        rule.apply(expected)
    return expected.state
