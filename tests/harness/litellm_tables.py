"""LiteLLM's tables as the tests compare them: what names a row of each, and which of its columns a spend changes.

The tests that work out what the tables must hold declare no table themselves; they take their part from here. The
declaration is written by hand and reads nothing of the code under test, so the tests notice a table or a key column
that the code forgets. tests/schemas/test_prisma_schema.py compares it with LiteLLM's own schema.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One of LiteLLM's tables."""

    key: tuple[str, ...]
    """The columns that name a row. Empty where LiteLLM draws the key at random: all rows then count as one."""
    entity: str | None = None
    """The key column that names the entity, in a daily table of one kind of entity."""
    changed: tuple[str, ...] = ()
    """The columns that a spend may change, in a row that the operator creates. The others are not compared.
    Empty where only spend fills the row: all columns but those in `UNCOMPARED` are then compared."""
    is_folded: bool = True
    """Whether a fold writes the table. Otherwise only LiteLLM's proxy does."""
    has_sums: bool = True
    """Whether the rows hold sums over requests."""


def _daily(entity: str) -> Table:
    key = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint")
    return Table((entity, *key), entity=entity)


LOGS, TOOL_INDEX = "LiteLLM_SpendLogs", "LiteLLM_SpendLogToolIndex"
TABLES = {
    "LiteLLM_UserTable": Table(("user_id",), changed=("spend",)),
    "LiteLLM_EndUserTable": Table(("user_id",), changed=("spend", "blocked")),
    "LiteLLM_VerificationToken": Table(("token",), changed=("spend", "total_spend", "last_active")),
    "LiteLLM_TeamTable": Table(("team_id",), changed=("spend",)),
    "LiteLLM_TeamMembership": Table(("team_id", "user_id"), changed=("spend", "total_spend")),
    "LiteLLM_OrganizationTable": Table(("organization_id",), changed=("spend",)),
    "LiteLLM_OrganizationMembership": Table(("organization_id", "user_id"), changed=("spend",)),
    "LiteLLM_ProjectTable": Table(("project_id",), changed=("spend",)),
    "LiteLLM_TagTable": Table(("tag_name",), changed=("spend",)),
    "LiteLLM_ModelAccessGroupBudgetTable": Table(("access_group_name",), changed=("spend",)),
    "LiteLLM_AgentsTable": Table(("agent_id",), changed=("spend",)),
    # An entity that is created may refer to a budget.
    "LiteLLM_BudgetTable": Table(("budget_id",), changed=("max_budget", "soft_budget"), has_sums=False),
    "LiteLLM_DailyUserSpend": _daily("user_id"),
    "LiteLLM_DailyTeamSpend": _daily("team_id"),
    "LiteLLM_DailyOrganizationSpend": _daily("organization_id"),
    "LiteLLM_DailyEndUserSpend": _daily("end_user_id"),
    "LiteLLM_DailyAgentSpend": _daily("agent_id"),
    "LiteLLM_DailyTagSpend": _daily("tag"),
    "LiteLLM_DailyModelUsage": Table(("date", "model_group", "model", "custom_llm_provider", "task_type")),
    "LiteLLM_DailyToolSpend": Table(("date", "tool_name")),
    "LiteLLM_DailyRequestErrors": Table(("date", "api_key", "team_id", "user_id", "model_group", "status_code")),
    "LiteLLM_DailyGatewayRequests": Table(("date", "category", "route")),
    "LiteLLM_DailyGatewayFailedRequests": Table(("date", "category", "route", "status_code")),
    "LiteLLM_BudgetWindowSpend": Table(("entity_type", "entity_id", "window_duration")),
    LOGS: Table(("request_id",), has_sums=False),
    TOOL_INDEX: Table(("request_id", "tool_name"), has_sums=False),
    "LiteLLM_Config": Table(("param_name",), is_folded=False, has_sums=False),
    "LiteLLM_DailyGuardrailMetrics": Table(("guardrail_id", "date"), is_folded=False),
    "LiteLLM_SpendLogDelivery": Table((), is_folded=False, has_sums=False),
    "LiteLLM_SpendLogGuardrailIndex": Table((), is_folded=False, has_sums=False),
    "LiteLLM_ToolTable": Table(("tool_name",), is_folded=False),
}
"""The tables by name."""
FOLDED = {name: table for name, table in TABLES.items() if table.is_folded}
"""The tables that a fold writes."""
DAILY = {name: table.entity for name, table in TABLES.items() if table.entity}
"""The daily tables of one kind of entity, and the column that names the entity."""
UNCOMPARED = {"id", "created_at", "updated_at"}
"""No test expects a value of these columns, because they are drawn at random or tell when the row was written."""
