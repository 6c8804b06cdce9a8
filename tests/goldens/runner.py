"""Runs one golden case on a database: seed, record, fold, and compare what the tables then hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

from harness.database import Database

from .case import SEED, Golden, golden
from .expectation import of_litellm, without_defaults
from .expected import Expected, Rule
from .rules import OF_THE_CALLBACK
from .shapes import Record, Shape
from .state import State, differences, read
from .verdicts import REJECTED, VERDICTS

# Cases that LiteLLM ran with store_prompts_in_spend_logs.
WITH_PROMPTS = {"store_prompts"}
RECORD = "SELECT litellm_record_spend(%s::jsonb, 'reject')"
# Folds what was staged, and is told how many records that are.
Fold = Callable[[Database, int], None]


def check(
    database: Database, name: str, shape: Shape, sent: list[Record], fold: Fold, *, but: Rule | None = None
) -> None:
    """The case, whose requests are `sent` in that shape, leads to LiteLLM's result, but for the rules of its
    verdict; `but` one of these that does not hold."""
    case = golden(name)
    before = seed(database, case)
    rules = [rule for rule in VERDICTS[name].rules if rule is not but]
    expected = _expected(case, shape, before, rules)
    record_and_fold(database, case, sent, fold)
    _assert_same(expected, without_defaults(read(database)), case, shape)
    rejected = database.value("SELECT count(*) FROM litellm_spend.rejected")
    assert rejected == (len(case.requests) if name in REJECTED else 0)


def check_replay(database: Database, name: str, shape: Shape, sent: list[Record], fold: Fold) -> None:
    """The same requests again change nothing: a replayed request counts once."""
    case = golden(name)
    seed(database, case)
    record_and_fold(database, case, sent, fold)
    once = read(database)
    record_and_fold(database, case, sent, fold)
    _assert_same(once, read(database), case, shape)


def seed(database: Database, case: Golden) -> State:
    """Bring the database to where the case begins, and return what it holds then."""
    with database.connect() as connection:
        connection.execute("DELETE FROM litellm_spend.rejected")
        connection.execute(SEED)
        if case.extra_seed:
            connection.execute(case.extra_seed)
    return read(database)


def record_and_fold(database: Database, case: Golden, sent: list[Record], fold: Fold) -> None:
    with database.connect() as connection:
        if case.name in WITH_PROMPTS:
            connection.execute("SET litellm_spend.store_prompts = on")
        for batch in case.batches(sent):
            [(staged,)] = connection.execute(RECORD, (json.dumps(batch),)).fetchall()
            fold(database, staged)


def _expected(case: Golden, shape: Shape, before: State, rules: list[Rule]) -> State:
    expected = Expected(case, shape, before, of_litellm(case, before))
    for rule in rules:
        untouched = copy.deepcopy(expected.state)
        if shape in rule.shapes:
            rule.apply(expected)
            assert differences(untouched, expected.state), f"{rule.name} changes nothing in {case.name}: do not list it"
    for rule in OF_THE_CALLBACK:
        if shape in rule.shapes:
            rule.apply(expected)
    return expected.state


def _assert_same(expected: State, actual: State, case: Golden, shape: Shape) -> None:
    lines = differences(expected, actual)
    assert not lines, f"{case.name} as a {shape.value} differs in {len(lines)} places:\n" + "\n".join(lines)
