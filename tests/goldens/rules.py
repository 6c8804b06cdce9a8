"""How the result must differ from LiteLLM's on purpose, and what of LiteLLM's this slice does not do yet.

Each rule works the better value out from what was sent; none is a copy of what the extension gave.
"""

from __future__ import annotations

from .case import golden
from .expectation import log_row, log_row_of
from .expected import DAILY, LOGS, Expected, add_tag_rows, distinct_tags, rule, sent_key, stored_id
from .shapes import PAYLOADS, TWIN_OF_UNTRACKED, Shape, sent_spend_log

# The entities that create_missing creates by default, and that LiteLLM does not: table, column of the log row.
CREATED = {
    "LiteLLM_UserTable": "user",
    "LiteLLM_TeamTable": "team_id",
    "LiteLLM_OrganizationTable": "organization_id",
}


@rule("missing user, team, organization and tag rows are created, as an SDK-only database starts empty")
def created(expected: Expected) -> None:
    for log in expected.logs:
        wanted = [(table, log[column]) for table, column in CREATED.items()]
        wanted += [("LiteLLM_TagTable", stored_id(tag)) for tag in distinct_tags(log["request_tags"])]
        for table, entity in wanted:
            if entity and (entity,) not in expected.before[table]:
                expected.charge(table, entity, log["spend"])
                if table == "LiteLLM_OrganizationTable":
                    unlimited = {"max_budget": None, "soft_budget": None}
                    expected.state["LiteLLM_BudgetTable"]["litellm_spend",] = unlimited


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
    expected.put("LiteLLM_DailyTeamSpend", twin.rows["LiteLLM_DailyTeamSpend"][0])
    add_tag_rows(expected, request)
    if organization:
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


@rule("an empty end user or agent is a missing one")
def empty_ids_are_missing(expected: Expected) -> None:
    del expected.state["LiteLLM_EndUserTable"]["",]
    expected.rewrite(LOGS, lambda row: {**row, "agent_id": row["agent_id"] or None})


@rule(
    "a failure has the tokens that its payload reports; LiteLLM's proxy estimates them from the prompt",
    *PAYLOADS,
)
def no_estimated_tokens(expected: Expected) -> None:
    [request] = expected.case.requests
    reported = {name: request.payload[name] for name in ("prompt_tokens", "total_tokens")}
    for table in (*DAILY, LOGS):
        expected.rewrite(table, lambda row: {**row, **{name: reported[name] for name in reported if name in row}})


@rule("the router's attempts are no part of a StandardLoggingPayload", *PAYLOADS)
def no_router_attempts(expected: Expected) -> None:
    unknown = dict.fromkeys(("attempted_retries", "attempted_fallbacks", "max_retries", "original_model_group"))
    expected.rewrite(LOGS, lambda row: {**row, "metadata": {**row["metadata"], **unknown}})


@rule("the key's row is not read: user, team, organization, project and alias are those that were sent", *PAYLOADS)
def identity_as_sent(expected: Expected) -> None:
    [request] = expected.case.requests
    sent = request.payload["metadata"]
    known = {"user": sent["user_api_key_user_id"], "team_id": sent["user_api_key_team_id"]}
    known = {name: value or "" for name, value in {**known, "organization_id": sent["user_api_key_org_id"]}.items()}
    names = [f"user_api_key_{name}" for name in ("user_id", "team_id", "org_id", "project_id", "alias")]
    metadata = {name: sent[name] for name in names}
    expected.rewrite(LOGS, lambda row: {**row, **known, "metadata": {**row["metadata"], **metadata}})
    expected.rewrite("LiteLLM_DailyUserSpend", lambda row: {**row, "user_id": known["user"]})
    expected.rewrite("LiteLLM_DailyTeamSpend", lambda row: {**row, "team_id": known["team_id"]})
    for table, column in CREATED.items():
        if not known[column]:
            expected.state[table] = expected.before[table]


@rule("the proxy's own budget row is charged only by a proxy that has a budget")
def no_proxy_budget(expected: Expected) -> None:
    name = ("litellm-proxy-budget",)
    expected.state["LiteLLM_UserTable"][name] = expected.before["LiteLLM_UserTable"][name]


@rule("the callback sends the provider's address, which LiteLLM's payload has elsewhere", Shape.CALLBACK)
def real_api_base(expected: Expected) -> None:
    bases = [request.payload["hidden_params"]["api_base"] for request in expected.case.requests]
    expected.rewrite(LOGS, lambda row: {**row, "api_base": row["api_base"] or bases[0] or ""})


@rule("the callback does not send the name of the price map's entry", Shape.CALLBACK)
def no_price_map_name(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "metadata": {**row["metadata"], "model_map_information": None}})


@rule("the callback does not send what prompt caching saved yet", Shape.CALLBACK)
def no_savings(expected: Expected) -> None:
    for table in DAILY:
        expected.rewrite(table, lambda row: {**row, "prompt_caching_savings_spend": 0.0})


@rule("the callback sends no prompt and no response, even to a server that would store them", Shape.CALLBACK)
def no_prompts(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "messages": {}, "response": {}, "proxy_server_request": {}})


@rule("the callback sends no null among the tags", Shape.CALLBACK)
def no_null_tags(expected: Expected) -> None:
    expected.rewrite(LOGS, lambda row: {**row, "request_tags": [tag for tag in row["request_tags"] if tag is not None]})


# What holds for each record of the callback, whatever the case.
OF_THE_CALLBACK = (real_api_base, no_price_map_name, no_savings, no_prompts, no_null_tags)
