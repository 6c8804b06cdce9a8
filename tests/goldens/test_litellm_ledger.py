"""Each golden case beside the ledger of the newest LiteLLM. LiteLLM's own writer and projector charge the case in the
same database, and the fold leaves the same rows, except where the rules of the case's verdict differ."""

from __future__ import annotations

import pytest

from .case import NAMES, golden, raw
from .expectation import of_ledger, of_litellm, without_defaults
from .litellm_ledger import KEPT_BY_THE_LEDGER, LiteLLMLedger, expectation_beside
from .runner import assert_same, by_caller, record_and_fold
from .shapes import LITELLMS_OWN, Shape, records
from .site import Site
from .state import differences


@pytest.mark.parametrize("shape", LITELLMS_OWN, ids=lambda shape: shape.name)
@pytest.mark.parametrize("golden_name", NAMES)
def test_a_case_leaves_what_litellms_ledger_leaves(
    caller_site: Site, litellm_ledger: LiteLLMLedger, golden_name: str, shape: Shape
) -> None:
    case = golden(golden_name)
    before = caller_site.seed(case)
    litellm_ledger.charge(raw(golden_name))
    charged = caller_site.read()
    caller_site.seed(case)
    record_and_fold(caller_site.database, case, records(case, shape), by_caller)
    expected = expectation_beside(case, shape, before, charged)
    assert_same(expected, without_defaults(caller_site.read()), f"{golden_name} as a {shape.value} beside the ledger")


@pytest.mark.parametrize("golden_name", NAMES)
def test_the_ledger_charges_what_the_queues_charged(
    caller_site: Site, litellm_ledger: LiteLLMLedger, golden_name: str
) -> None:
    case = golden(golden_name)
    before = caller_site.seed(case)
    litellm_ledger.charge(raw(golden_name))
    charged = of_ledger(case, before, caller_site.read())
    assert bool(differences(of_litellm(case, before), charged)) == (golden_name in KEPT_BY_THE_LEDGER)
