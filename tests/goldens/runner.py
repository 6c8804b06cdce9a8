"""Runs one golden case: seed, record, fold, and compare the contents of the tables."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.database import Database

from .case import Golden, golden
from .expectation import of_litellm, without_defaults
from .expected import Expected, Rule
from .rules import OF_EVERY_CASE
from .rules_of_callback import OF_THE_CALLBACK
from .shapes import Record, Shape
from .site import Site
from .state import State, differences, restricted
from .verdicts import REJECTED, VERDICTS

# Cases that LiteLLM ran with store_prompts_in_spend_logs.
WITH_PROMPTS = {"store_prompts"}
RECORD = "SELECT litellm_record_spend(%s::jsonb, 'reject')"
# Folds what was staged. It gets the number of staged records.
Fold = Callable[[Database, int], None]


def by_worker(database: Database, _: int) -> None:
    database.wait_folded()


def by_caller(database: Database, staged: int) -> None:
    assert database.fold() == staged


@dataclass(frozen=True)
class Way:
    """How records are folded, and where."""

    site: Site
    fold: Fold


def check(site: Site, name: str, shape: Shape, sent: list[Record], fold: Fold, *, but: Rule | None = None) -> None:
    """Check that the case, whose requests are `sent` in this shape, leads to LiteLLM's result, changed by the rules of
    its verdict. `but` names a rule that does not hold. An older schema shows the part that it has columns for."""
    case = golden(name)
    expected = expectation(case, shape, site.seed(case), but)
    record_and_fold(site.database, case, sent, fold)
    assert_same(restricted(expected, site.columns), without_defaults(site.read()), f"{name} as a {shape.value}")
    rejected = site.database.value("SELECT count(*) FROM litellm_spend.rejected")
    assert rejected == (len(case.requests) if name in REJECTED else 0)


def check_replay(site: Site, name: str, shape: Shape, sent: list[Record], fold: Fold) -> None:
    """Sending the same requests again changes nothing, because a replayed request counts once."""
    case = golden(name)
    site.seed(case)
    record_and_fold(site.database, case, sent, fold)
    once = site.read()
    record_and_fold(site.database, case, sent, fold)
    assert_same(once, site.read(), f"{name} as a {shape.value}, replayed,")


def record_and_fold(database: Database, case: Golden, sent: list[Record], fold: Fold) -> None:
    with recorder(database, with_prompts=case.name in WITH_PROMPTS) as record:
        for batch in case.batches(sent):
            fold(database, record(batch))


@contextmanager
def recorder(database: Database, *, with_prompts: bool) -> Iterator[Callable[[list[Record]], int]]:
    """Records a batch in a session of its own, and returns how many records were staged."""
    with database.connect() as connection:
        if with_prompts:
            connection.execute("SET litellm_spend.store_prompts = on")
        yield lambda batch: connection.execute(RECORD, (json.dumps(batch),)).fetchall()[0][0]


def expectation(case: Golden, shape: Shape, before: State, but: Rule | None = None) -> State:
    """The state that the case must lead to from `before`."""
    expected = Expected(case, shape, before, of_litellm(case, before))
    for rule in VERDICTS[case.name].rules:
        untouched = copy.deepcopy(expected.state)
        if rule is not but and shape in rule.shapes:
            rule.apply(expected)
            assert differences(untouched, expected.state), f"{rule.name} changes nothing in {case.name}: do not list it"
    for rule in (*OF_EVERY_CASE, *OF_THE_CALLBACK):
        if shape in rule.shapes:
            rule.apply(expected)
    return expected.state


def assert_same(expected: State, actual: State, what: str) -> None:
    lines = differences(expected, actual)
    assert not lines, f"{what} differs in {len(lines)} places:\n" + "\n".join(lines)
