"""A fold runs beside sessions in which LiteLLM's own code charges the same rows. No deadlock reaches any of them, the
fold ends, and no amount is lost (invariant 8).

The sessions of `queues` write each table in a transaction of its own, as the queues of a proxy do. `queues in one`
writes all tables in the same order and in one transaction. LiteLLM does not do this, but other programs may.
`projector` is the projector of LiteLLM's ledger since 1.110.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from psycopg.types.json import Jsonb

from conftest import Interpreters, Tell, discard, new_database
from harness.charges import ENTITIES, Request, Row, charges, make_request, model_of, names
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import NEWEST, NEWEST_WHEEL, SCHEMAS
from harness.postgres import PROJECT
from harness.program import Program
from harness.records import spend_record

PROGRAM = PROJECT / "tests" / "harness" / "litellm_writers.py"
OLD, NEW = NEWEST_WHEEL.litellm, NEWEST.litellm
RECORDS = 10
"""How many the client records at a time."""
REQUESTS = 3
"""How many requests a session of LiteLLM charges at a time."""
DEADLOCK, LOCK_TIMEOUT = "40P01", "55P03"


@dataclass(frozen=True)
class Writers:
    """Sessions of one LiteLLM: each is of a kind, and charges entities whose names begin with a prefix."""

    version: str
    sessions: list[tuple[str, str]]


PROXY_OF_1_110 = [Writers(NEW, [("projector", "a"), *[("queues", "a")] * 15])]
PROXY_OF_1_109 = [Writers(OLD, [("queues", "a")] * 16)]
ROLLING_UPGRADE = [Writers(NEW, [("projector", "a"), *[("queues", "a")] * 7]), Writers(OLD, [("queues", "a")] * 8)]
# Sessions that write in one transaction block each other at the tables, so only sessions of one order share rows.
PROJECTORS = [Writers(NEW, [("projector", "a")] * 16)]
OLD_IN_ONE = [Writers(OLD, [("queues in one", "a")] * 16)]
BOTH_ORDERS = [Writers(NEW, [("projector", "a")] * 8), Writers(OLD, [("queues in one", "b")] * 8)]

BESIDE = pytest.mark.parametrize(
    ("schema", "writers"),
    [
        pytest.param(NEW, PROXY_OF_1_110, id="a proxy of 1.110"),
        pytest.param(OLD, PROXY_OF_1_109, id="a proxy of 1.109"),
        pytest.param(NEW, ROLLING_UPGRADE, id="a rolling upgrade"),
        pytest.param(NEW, PROJECTORS, id="the order of 1.110"),
        pytest.param(OLD, OLD_IN_ONE, id="the order of 1.109"),
        pytest.param(NEW, BOTH_ORDERS, id="both orders"),
    ],
)


@pytest.fixture
def database_of(cluster: Cluster) -> Iterator[object]:
    """Gives a database with the schema of that LiteLLM."""
    made: list[Database] = []

    def make(version: str) -> Database:
        [schema] = [schema for schema in SCHEMAS if schema.litellm == version]
        made.append(new_database(cluster, schema=schema))
        made[-1].execute(f"ALTER DATABASE {made[-1].name} SET log_min_messages = debug1")
        return made[-1]

    yield make
    for database in made:
        discard(database)


@BESIDE
def test_no_deadlock_reaches_a_proxy(
    database_of, interpreters: Interpreters, tell: Tell, schema: str, writers: list[Writers]
) -> None:
    run_beside(database_of(schema), interpreters, tell, writers, seconds=6)


@pytest.mark.stress
@pytest.mark.timeout(600)
@BESIDE
def test_no_deadlock_reaches_a_proxy_for_a_minute(
    database_of, interpreters: Interpreters, tell: Tell, schema: str, writers: list[Writers]
) -> None:
    run_beside(database_of(schema), interpreters, tell, writers, seconds=60)


def run_beside(
    database: Database,
    interpreters: Interpreters,
    tell: Tell,
    writers: list[Writers],
    *,
    seconds: float,
) -> None:
    prefixes = sorted({prefix for group in writers for _, prefix in group.sessions})
    for prefix in prefixes:
        make_entities(database, prefix)
    gave_way_before = database.cluster.log().count("a fold gives way")
    recorded: Counter[Row] = Counter()
    lags: list[float] = []
    with ExitStack() as stack:
        programs = [
            start(stack.enter_context(interpreters(group.version).start(PROGRAM, url=None)), database, group)
            for group in writers
        ]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            requests = [make_request(random.choice(prefixes)) for _ in range(RECORDS)]
            database.query("SELECT litellm_record_spend(%s)", Jsonb([record(request) for request in requests]))
            recorded.update(charges(requests))
            lags.append(database.value("SELECT coalesce(extract(epoch FROM lag), 0)::float8 FROM litellm_spend.status"))
            time.sleep(0.02)
        outcomes = [stop(program) for program in programs]
    database.wait_folded("120 s")

    charged, errors = Counter(recorded), Counter()
    for outcome in outcomes:
        charged.update({tuple(row): spend for row, spend in outcome["charged"]})
        errors.update(outcome["errors"])
    rounds = [rounds for outcome in outcomes for rounds in outcome["rounds"]]
    gave_way = database.cluster.log().count("a fold gives way") - gave_way_before
    circles = database.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    lags.sort()
    tell(
        "beside LiteLLM's writers",
        f"{[f'{len(group.sessions)} of {group.version}: {group.sessions[0][0]}' for group in writers]}, {seconds:g} s: "
        f"{sum(rounds)} rounds, {sum(recorded.values()):g} dollars recorded, errors of LiteLLM {dict(errors)}, "
        f"{gave_way} folds gave way, {circles - errors[DEADLOCK]} of them in a circle, "
        f"lag p50 {lags[len(lags) // 2]:.3f} s, "
        f"p99 {lags[len(lags) * 99 // 100]:.3f} s, most {lags[-1]:.3f} s",
    )
    assert errors[DEADLOCK] == 0
    assert set(errors) <= {LOCK_TIMEOUT}, errors
    assert all(rounds), f"a session had no turn: {rounds}"
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert stored(database) == charged


def start(program: Program, database: Database, group: Writers) -> Program:
    asked = {"url": database.url, "sessions": group.sessions, "requests": REQUESTS}
    program.stdin.write(json.dumps(asked) + "\n")
    assert "begun" in json.loads(program.stdout.readline() or "{}"), program.log()
    return program


def stop(program: Program) -> dict:
    program.stdin.write("\n")
    return json.loads(program.stdout.readline() or "null") or pytest.fail(program.log())


def record(request: Request) -> dict:
    return spend_record(
        user=request["user"],
        team_id=request["team"],
        organization_id=request["org"],
        api_key=request["key"],
        end_user=request["end_user"],
        project_id=request["project"],
        agent_id=request["agent"],
        request_tags=[request["tag"]],
        model=model_of(request),
        model_group=model_of(request),
        request_model_access_groups=[request["group"]],
    )


def make_entities(database: Database, prefix: str) -> None:
    """Create the rows that LiteLLM's writers only update."""
    made = "created_by, updated_by"
    columns = {
        "user": ("LiteLLM_UserTable", "user_id", "models", "'{}'"),
        "team": ("LiteLLM_TeamTable", "team_id", "models", "'{}'"),
        "org": (
            "LiteLLM_OrganizationTable",
            "organization_id",
            f"organization_alias, budget_id, models, {made}",
            "'o', 'b', '{}', 'test', 'test'",
        ),
        "key": ("LiteLLM_VerificationToken", "token", "models", "'{}'"),
        "tag": ("LiteLLM_TagTable", "tag_name", "models", "'{}'"),
        "project": ("LiteLLM_ProjectTable", "project_id", f"models, {made}", "'{}', 'test', 'test'"),
        "agent": (
            "LiteLLM_AgentsTable",
            "agent_id",
            f"agent_name, agent_card_params, {made}",
            "name, '{}', 'test', 'test'",
        ),
        "group": ("LiteLLM_ModelAccessGroupBudgetTable", "access_group_name", made, "'test', 'test'"),
    }
    database.execute(
        f"INSERT INTO \"LiteLLM_BudgetTable\" (budget_id, {made}) VALUES ('b', 'test', 'test') ON CONFLICT DO NOTHING"
    )
    for kind, (table, column, others, values) in columns.items():
        database.execute(
            f'INSERT INTO "{table}" ({column}, {others}) SELECT name, {values} FROM unnest(%s::text[]) AS n (name)',
            names(prefix, kind),
        )
    for table, column, kind in (
        ("LiteLLM_TeamMembership", "team_id", "team"),
        ("LiteLLM_OrganizationMembership", "organization_id", "org"),
    ):
        database.execute(
            f'INSERT INTO "{table}" ({column}, user_id) SELECT * FROM unnest(%s::text[]) AS g, unnest(%s::text[]) AS u',
            names(prefix, kind),
            names(prefix, "user"),
        )
    assert set(columns) | {"end_user"} == set(ENTITIES)


KEYS = {
    "LiteLLM_OrganizationTable": "organization_id",
    "LiteLLM_OrganizationMembership": "organization_id, user_id",
    "LiteLLM_TeamTable": "team_id",
    "LiteLLM_UserTable": "user_id",
    "LiteLLM_EndUserTable": "user_id",
    "LiteLLM_TeamMembership": "team_id, user_id",
    "LiteLLM_VerificationToken": "token",
    "LiteLLM_ProjectTable": "project_id",
    "LiteLLM_TagTable": "tag_name",
    "LiteLLM_ModelAccessGroupBudgetTable": "access_group_name",
    "LiteLLM_AgentsTable": "agent_id",
    "LiteLLM_DailyUserSpend": "user_id, api_key, model",
    "LiteLLM_DailyTeamSpend": "team_id, api_key, model",
    "LiteLLM_DailyOrganizationSpend": "organization_id, api_key, model",
    "LiteLLM_DailyEndUserSpend": "end_user_id, api_key, model",
    "LiteLLM_DailyAgentSpend": "agent_id, api_key, model",
    "LiteLLM_DailyTagSpend": "tag, api_key, model",
    "LiteLLM_DailyModelUsage": "model",
}


def stored(database: Database) -> Counter[Row]:
    """The contents of the tables, in the form of `charges`."""
    rows: Counter[Row] = Counter()
    for table, key in KEYS.items():
        for *ids, spend in database.query(f'SELECT {key}, sum(spend) FROM "{table}" GROUP BY {key}'):
            if spend:
                rows[(table, *ids)] = spend
    return rows
