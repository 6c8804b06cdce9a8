"""The contents that every table must have after a fold of calls, worked out from the calls one by one.

Rows are {key columns: {column: total}}. A total remembers its parts, because the sum of floats
depends on their order.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import world
from .call import Call, Identity

KNOWN_TASKS = {"classification"}
# Below the size, sums of multiples of the step are exact in float64 (53 bits), in whatever order.
EXACT_STEP, EXACT_SIZE = 2.0**-9, 2.0**44
TOLERANCE = 1e-12


@dataclass
class Total:
    """A sum and its parts."""

    parts: list[float] = field(default_factory=list)

    def add(self, number: float) -> None:
        self.parts.append(number)

    @property
    def value(self) -> float:
        return math.fsum(self.parts)

    @property
    def tolerance(self) -> float:
        """0 where the order of the sum cannot matter."""
        size = math.fsum(abs(part) for part in self.parts)
        is_exact = size < EXACT_SIZE and all(part % EXACT_STEP == 0 for part in self.parts)
        return 0.0 if is_exact else TOLERANCE * size

    @property
    def hides_a_part(self) -> bool:
        """Whether the sum would still be near if its smallest part were lost or counted twice."""
        return min((abs(part) for part in self.parts if part), default=math.inf) <= 2 * self.tolerance

    def is_near(self, actual: float) -> bool:
        return abs(actual - self.value) <= self.tolerance

    def problem_with(self, actual: float) -> str:
        """What is wrong with the number, or with the total as its measure. Empty if both are right."""
        if self.hides_a_part:
            return f"a tolerance of {self.tolerance!r} hides the least of {len(self.parts)} parts"
        return "" if self.is_near(actual) else f"expected {self.value!r}, found {actual!r}"


Key = tuple[str | int, ...]
Rows = dict[Key, dict[str, Total]]


def identity_of(call: Call) -> Identity:
    """Who is charged: as LiteLLM says. Where it names no user, as the key's row says, and then as the caller claims.

    Where none of them names an organization, the team's organization is charged.
    """
    said = call.said
    if call.key_hash and not said.user:
        said = said.filled_from(world.resolved(call.key_hash))
    identity = said.filled_from(call.claimed)
    return identity.filled_from(Identity(organization=world.TEAM_ORGANIZATIONS.get(identity.team or "")))


def daily_numbers(call: Call) -> dict[str, float]:
    """The numbers that a call adds to each of its daily rows."""
    requests = int(not call.internal_call_origin and not call.is_billed_retry)
    is_timed = not call.failed and not call.internal_call_origin and call.duration_ms >= 0
    return {
        "spend": call.cost,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "cache_read_input_tokens": call.cache_read_tokens,
        "cache_creation_input_tokens": call.cache_creation_tokens,
        "api_requests": requests,
        "successful_requests": 0 if call.failed else requests,
        "failed_requests": requests if call.failed else 0,
        "total_response_time_ms": call.duration_ms if is_timed else 0,
        "timed_requests": int(is_timed),
        "prompt_caching_savings_spend": call.caching_savings,
        "compression_saved_tokens": 0,
        "compression_savings_spend": 0,
        "gateway_injected_caching_savings_spend": 0,
        "autorouter_savings_spend": 0,
    }


def daily_entities(call: Call, identity: Identity) -> Iterator[tuple[str, str]]:
    """The daily tables in which a call has a row, and the entity there. The user's and the team's row always exist."""
    yield "LiteLLM_DailyUserSpend", identity.user or ""
    yield "LiteLLM_DailyTeamSpend", identity.team or ""
    for table, entity in {
        "LiteLLM_DailyOrganizationSpend": identity.organization,
        "LiteLLM_DailyEndUserSpend": call.end_user,
        "LiteLLM_DailyAgentSpend": call.agent,
    }.items():
        if entity:
            yield table, entity
    for tag in call.string_tags:
        yield "LiteLLM_DailyTagSpend", tag


def tools_of(call: Call) -> set[str]:
    """The tools that a call called, the MCP tool among them."""
    return {name.strip() for name in (*call.tool_calls, call.mcp_tool or "") if name.strip()}


def expected_rows(calls: list[Call]) -> dict[str, Rows]:
    """Every table that a fold adds to, except the log and the index of tools."""
    tables: dict[str, Rows] = defaultdict(lambda: defaultdict(lambda: defaultdict(Total)))
    _add_world(tables)
    for call in calls:
        identity = identity_of(call)
        _add_entities(tables, call, identity)
        _add_daily(tables, call, identity)
        _add_rollups(tables, call, identity)
        _add_gateway_requests(tables, call)
        _add_windows(tables, call, identity)
    return tables


def _add_world(tables: dict[str, Rows]) -> None:
    for table, spends in {
        "LiteLLM_UserTable": world.USER_ROWS,
        "LiteLLM_TeamTable": world.TEAM_ROWS,
        "LiteLLM_OrganizationTable": world.ORGANIZATION_ROWS,
        "LiteLLM_ProjectTable": world.PROJECT_ROWS,
        "LiteLLM_AgentsTable": world.AGENT_ROWS,
        "LiteLLM_ModelAccessGroupBudgetTable": world.ACCESS_GROUP_ROWS,
        "LiteLLM_EndUserTable": world.END_USER_ROWS,
        "LiteLLM_TagTable": world.TAG_ROWS,
    }.items():
        for name, spend in spends.items():
            tables[table][name,]["spend"].add(spend)
    for membership, spend in world.ORGANIZATION_MEMBERSHIPS.items():
        tables["LiteLLM_OrganizationMembership"][membership]
        if spend is not None:
            tables["LiteLLM_OrganizationMembership"][membership]["spend"].add(spend)
    for token, (spend, total) in world.KEY_ROWS.items():
        tables["LiteLLM_VerificationToken"][token,]["spend"].add(spend)
        tables["LiteLLM_VerificationToken"][token,]["total_spend"].add(total)
    for membership, (spend, total) in world.MEMBERSHIPS.items():
        tables["LiteLLM_TeamMembership"][membership]["spend"].add(spend)
        tables["LiteLLM_TeamMembership"][membership]["total_spend"].add(total)


def _add_entities(tables: dict[str, Rows], call: Call, identity: Identity) -> None:
    def charge(table: str, *key: str | None, created: bool, columns: tuple[str, ...] = ("spend",)) -> None:
        if all(key) and (created or key in tables[table]):
            for column in columns:
                tables[table][key][column].add(call.cost)

    both = ("spend", "total_spend")
    charge("LiteLLM_UserTable", identity.user, created=True)
    charge("LiteLLM_EndUserTable", call.end_user, created=True)
    charge("LiteLLM_VerificationToken", call.key_hash, created=False, columns=both)
    charge("LiteLLM_TeamTable", identity.team, created=True)
    charge("LiteLLM_OrganizationTable", identity.organization, created=True)
    charge("LiteLLM_ProjectTable", identity.project, created=False)
    charge("LiteLLM_AgentsTable", call.agent, created=False)
    for tag in call.string_tags:
        charge("LiteLLM_TagTable", tag, created=not tag.startswith("User-Agent: "))
    for group in dict.fromkeys(call.access_groups):
        charge("LiteLLM_ModelAccessGroupBudgetTable", group, created=False)
    member = (identity.team, identity.user)
    on_roster = identity.user in world.ROSTERS.get(identity.team or "", [])
    if all(member) and member in world.MEMBERSHIPS:
        _raise_to_spend(tables["LiteLLM_TeamMembership"][member], member)
    charge("LiteLLM_TeamMembership", *member, created=on_roster, columns=both)
    of_organization = (identity.organization, identity.user)
    if world.ORGANIZATION_MEMBERSHIPS.get(of_organization) is not None:
        charge("LiteLLM_OrganizationMembership", *of_organization, created=False)


def _raise_to_spend(row: dict[str, Total], member: Key) -> None:
    """A member's total is first raised to the spend. After that the two change together."""
    spend, total = world.MEMBERSHIPS[member]
    if row["total_spend"].parts[0] == total < spend:
        row["total_spend"].parts[0] = spend


def _add_daily(tables: dict[str, Rows], call: Call, identity: Identity) -> None:
    numbers = daily_numbers(call)
    for table, entity in daily_entities(call, identity):
        key = (entity, call.date, call.key_hash, call.model, call.provider, call.mcp_tool or "", call.endpoint)
        for column, number in numbers.items():
            tables[table][key][column].add(number)


def _add_rollups(tables: dict[str, Rows], call: Call, identity: Identity) -> None:
    numbers = daily_numbers(call)
    group = call.model_group or call.model
    if not call.internal_call_origin:
        tasks = [tag.removeprefix("task:") for tag in call.string_tags if tag.startswith("task:")]
        task = next((task for task in tasks if task in KNOWN_TASKS), "uncategorized")
        key = (call.date, group or "unknown", call.model or "unknown", call.provider or "unknown", task)
        row = tables["LiteLLM_DailyModelUsage"][key]
        for column in ("spend", "prompt_tokens", "completion_tokens"):
            row[column].add(numbers[column])
        row["request_count"].add(1)
        row["failed_requests" if call.failed else "successful_requests"].add(1)
    for tool in tools_of(call):
        row = tables["LiteLLM_DailyToolSpend"][call.date, tool]
        row["spend"].add(call.cost)
        row["total_tokens"].add(call.total_tokens)
        row["request_count"].add(1)
    if numbers["failed_requests"]:
        key = (call.date, call.key_hash, identity.team or "", identity.user or "", group, call.status_code)
        tables["LiteLLM_DailyRequestErrors"][key]["failed_requests"].add(1)


def _add_gateway_requests(tables: dict[str, Rows], call: Call) -> None:
    numbers = daily_numbers(call)
    if not call.made_outside_proxy or not numbers["api_requests"]:
        return
    key = (call.date, "llm", "sdk")
    for column in ("successful_requests", "failed_requests"):
        tables["LiteLLM_DailyGatewayRequests"][key][column].add(numbers[column])
    if call.failed:
        tables["LiteLLM_DailyGatewayFailedRequests"][(*key, call.status_code)]["failed_requests"].add(1)


def _add_windows(tables: dict[str, Rows], call: Call, identity: Identity) -> None:
    for holder in (("key", call.key_hash), ("team", identity.team or "")):
        for duration in world.WINDOWS.get(holder, []):
            if call.cost:
                tables["LiteLLM_BudgetWindowSpend"][(*holder, duration)]["spend"].add(call.cost)
