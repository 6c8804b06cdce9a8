"""How the result must differ from LiteLLM's on purpose.

Each rule works out the better value from what was sent. None copies what the extension wrote.
"""

from __future__ import annotations

from harness.litellm_tables import DAILY, LOGS

from .case import golden
from .expectation import log_row, log_row_of
from .expected import Expected, add_daily_row, add_tag_rows, distinct_tags, rule, sent_key, stored_id
from .shapes import PAYLOADS, TWIN_OF_UNTRACKED, Shape, sent_spend_log
from .state import Row

# The entities that create_missing creates by default and LiteLLM does not: table, column of the log row.
CREATED = {
    "LiteLLM_UserTable": "user",
    "LiteLLM_TeamTable": "team_id",
    "LiteLLM_OrganizationTable": "organization_id",
}


@rule("missing user, team, organization and tag rows are created, as an SDK-only database starts empty")
def created(expected: Expected) -> None:
    for log in expected.logs:
        if log["team_id"] and (log["team_id"],) not in expected.before["LiteLLM_TeamTable"]:
            name_team(expected, log, log["team_id"])
        wanted = [(table, log[column]) for table, column in CREATED.items()]
        tags = [tag for tag in distinct_tags(log["request_tags"]) if not tag.startswith("User-Agent: ")]
        wanted += [("LiteLLM_TagTable", stored_id(tag)) for tag in tags]
        for table, entity in wanted:
            if entity and (entity,) not in expected.before[table]:
                expected.charge(table, entity, log["spend"])
                if table == "LiteLLM_OrganizationTable":
                    unlimited = {"max_budget": None, "soft_budget": None}
                    expected.state["LiteLLM_BudgetTable"]["litellm_spend",] = unlimited


# The aliases of the teams in seed.sql.
ORGANIZATION_OF_TEAM = {"team1": "org1"}
ALIAS_OF_TEAM = {"team1": "Team One", "team2": "Team Two"}


def name_team(expected: Expected, log: Row, alias: str) -> None:
    """Give the log row the alias of its team, unless it has one."""
    metadata = log["metadata"]
    if not metadata.get("user_api_key_team_alias"):
        expected.put(LOGS, {**log, "metadata": {**metadata, "user_api_key_team_alias": alias}})


@rule("the log names the team that is charged, by its row, where LiteLLM's proxy has not")
def team_is_named(expected: Expected) -> None:
    for log in expected.logs:
        if alias := ALIAS_OF_TEAM.get(log["team_id"]):
            name_team(expected, log, alias)


@rule("a team brings its organization where the record names none")
def organization_of_team(expected: Expected) -> None:
    for log in expected.logs:
        organization = ORGANIZATION_OF_TEAM[log["team_id"]]
        metadata = {**log["metadata"], "user_api_key_org_id": organization}
        expected.put(LOGS, {**log, "organization_id": organization, "metadata": metadata})
        add_daily_row(expected, "LiteLLM_DailyOrganizationSpend", organization)
        expected.charge("LiteLLM_OrganizationTable", organization, log["spend"])
        if (member := (organization, log["user"])) in expected.before["LiteLLM_OrganizationMembership"]:
            expected.state["LiteLLM_OrganizationMembership"][member]["spend"] += log["spend"]


@rule("a success without any identity is recorded: the SDK user wants the spend")
def recorded_without_identity(expected: Expected) -> None:
    twin = golden(TWIN_OF_UNTRACKED)
    [request] = expected.case.requests
    payload, tags = request.payload, request.payload["request_tags"]
    ids = {"request_id": payload["id"], "litellm_call_id": payload["litellm_call_id"]}
    organization = payload["metadata"]["user_api_key_org_id"]
    log = log_row(twin.rows[LOGS][0])
    named = {"user": "", "organization_id": organization or "", "session_id": payload["trace_id"]}
    metadata = {"user_api_key_user_id": None, "user_api_key_org_id": organization}
    metadata |= {"litellm_call_id": payload["litellm_call_id"]}
    expected.put(LOGS, {**log, **ids, **named, "request_tags": tags, "metadata": {**log["metadata"], **metadata}})
    expected.put("LiteLLM_DailyUserSpend", {**twin.rows["LiteLLM_DailyUserSpend"][0], "user_id": ""})
    for table in ("LiteLLM_DailyTeamSpend", "LiteLLM_DailyModelUsage"):
        expected.put(table, twin.rows[table][0])
    add_tag_rows(expected, request)
    if organization:
        add_daily_row(expected, "LiteLLM_DailyOrganizationSpend", organization)
        expected.charge("LiteLLM_OrganizationTable", organization, log["spend"])
    for tag in distinct_tags(tags):
        expected.charge("LiteLLM_TagTable", tag, log["spend"])


@rule("the SDK's user= is the user where no other is known")
def sdk_user(expected: Expected) -> None:
    [request] = expected.case.requests
    name = request.kwargs["user"]
    expected.rewrite(LOGS, lambda row: {**row, "user": name})
    expected.rewrite("LiteLLM_DailyUserSpend", lambda row: {**row, "user_id": name})


@rule("each distinct string tag counts once, in every table; other values are ignored")
def each_string_tag_once(expected: Expected) -> None:
    tags: dict[str, float] = {}
    for request in expected.case.requests:
        add_tag_rows(expected, request)
        for tag in distinct_tags(request.payload["request_tags"]):
            tags[tag] = tags.get(tag, 0.0) + request.payload["response_cost"]
    for tag, spend in tags.items():
        if (tag,) in expected.before["LiteLLM_TagTable"]:
            before = expected.before["LiteLLM_TagTable"][tag,]["spend"]
            expected.state["LiteLLM_TagTable"][tag,]["spend"] = before + spend


@rule("an id over 1 kB is cut, with a hash of the whole in place of the rest: it must fit the unique index")
def long_ids_are_cut(expected: Expected) -> None:
    expected.rewrite("LiteLLM_DailyTagSpend", lambda row: {**row, "tag": stored_id(row["tag"])})


@rule("one rule for keys: a hash stays, anything else is hashed, and every table has the same key")
def one_key(expected: Expected) -> None:
    key = sent_key(expected)
    for table in DAILY:
        expected.rewrite(table, lambda row: {**row, "api_key": key})
    own = {"user_api_key": key} if expected.shape is not Shape.SPEND_LOGS else {}
    expected.rewrite(LOGS, lambda row: {**row, "api_key": key, "metadata": {**row["metadata"], **own}})
    keys = {token: dict(row) for token, row in expected.before["LiteLLM_VerificationToken"].items()}
    if (key,) in keys:
        spend = sum(log["spend"] for log in expected.logs)
        row = keys[key,]
        keys[key,] = {
            "spend": row["spend"] + spend,
            "total_spend": row["total_spend"] + spend,
            "last_active": True,
        }
    expected.state["LiteLLM_VerificationToken"] = keys


@rule("an id that comes with another call id is another request, logged under id#litellm_call_id")
def reused_id_is_logged(expected: Expected) -> None:
    _, *others = expected.case.requests
    for request in others:
        payload = sent_spend_log(request)
        name = f"{payload['request_id']}#{payload['litellm_call_id']}"
        expected.put(LOGS, {**log_row_of(payload), "request_id": name})


@rule("token counts over int4 are clamped, and the log row is not lost")
def clamped_log_row(expected: Expected) -> None:
    for request in expected.case.requests:
        expected.put(LOGS, log_row_of(sent_spend_log(request)))


@rule("a sync call type has the endpoint of its async twin")
def sync_endpoint(expected: Expected) -> None:
    for table in DAILY:
        expected.rewrite(table, lambda row: {**row, "endpoint": row["endpoint"] or "/chat/completions"})


@rule("an empty organization, end user or agent is a missing one: it has no row")
def empty_ids_are_missing(expected: Expected) -> None:
    del expected.state["LiteLLM_EndUserTable"]["",]
    for table in ("LiteLLM_DailyOrganizationSpend", "LiteLLM_DailyEndUserSpend", "LiteLLM_DailyAgentSpend"):
        expected.state[table] = {key: row for key, row in expected.state[table].items() if row[DAILY[table]]}
    expected.rewrite(LOGS, lambda row: {**row, "agent_id": row["agent_id"] or None})


@rule("ids may hold any text: the member who is charged is the one that was sent")
def members_as_sent(expected: Expected) -> None:
    [request] = expected.case.requests
    sent, cost = request.payload["metadata"], request.payload["response_cost"]
    member = (sent["user_api_key_team_id"], sent["user_api_key_user_id"])
    expected.state["LiteLLM_TeamMembership"][member] = {"spend": cost, "total_spend": cost}


@rule(
    "a failure has the tokens that its payload reports; LiteLLM's proxy estimates them from the prompt",
    *PAYLOADS,
)
def no_estimated_tokens(expected: Expected) -> None:
    [request] = expected.case.requests
    reported = {name: request.payload[name] for name in ("prompt_tokens", "total_tokens")}
    for table in (*DAILY, "LiteLLM_DailyModelUsage", LOGS):
        expected.rewrite(table, lambda row: {**row, **{name: reported[name] for name in reported if name in row}})


@rule("the proxy's own budget row is charged only by a proxy that has a budget")
def no_proxy_budget(expected: Expected) -> None:
    name = ("litellm-proxy-budget",)
    expected.state["LiteLLM_UserTable"][name] = expected.before["LiteLLM_UserTable"][name]


# The rules for every case.
OF_EVERY_CASE = (team_is_named,)
