"""Every way in which somebody sends a key or a prompt by mistake: in records that are staged, and in elements that are
not."""

from __future__ import annotations

from typing import Any

from needles import Needles

from harness.records import spend_record

Record = dict[str, Any]


def key_records(needles: Needles) -> dict[str, Record]:
    """Records with a raw key in place of its hash, by that key. Each key must be stored as its sha256."""
    top = {name: needles.key(name) for name in ("api_key", "user_api_key")}
    nested = {name: needles.key(f"metadata.{name}") for name in ("user_api_key", "user_api_key_hash")}
    bearer, lower = needles.key("Bearer api_key"), needles.key("bearer metadata.user_api_key")
    in_text = needles.key("metadata.user_api_key of metadata sent as JSON text")
    return {
        **{key: spend_record(**{name: key}) for name, key in top.items()},
        **{key: spend_record(metadata={name: key}) for name, key in nested.items()},
        bearer: spend_record(api_key=f"Bearer {bearer}"),
        lower: spend_record(metadata={"user_api_key": f"bearer  {lower} "}),
        in_text: spend_record(metadata=f'{{"user_api_key": "{in_text}"}}'),
    }


def other_records(needles: Needles) -> list[Record]:
    """Valid records with a key or a prompt in a field that is dropped or cut. They are counted."""
    key, prompt = needles.key, needles.prompt
    conversation = [{"role": "user", "content": prompt("messages")}]
    failure = {"status": "failure", "model_id": None}
    return [
        spend_record(x={"y": [{"z": key("an unknown field, deep inside")}]}),
        spend_record(**{key("the name of an unknown field"): 1}),
        spend_record(metadata={"headers": {"authorization": f"Bearer {key('metadata.headers')}"}}),
        spend_record(
            metadata={"usage_object": {key("a name in usage_object"): 1, "prompt_tokens": key("a text count")}}
        ),
        spend_record(metadata={"requester_metadata": {"a": prompt("metadata.requester_metadata")}}),
        spend_record(metadata={"mcp_tool_call_metadata": {"name": "t", "arguments": {"q": prompt("tool arguments")}}}),
        spend_record(metadata={"guardrail_information": [{"match": prompt("metadata.guardrail_information")}]}),
        spend_record(litellm_params={"api_key": key("litellm_params.api_key")}),
        spend_record(model_parameters={"user": key("model_parameters")}),
        spend_record(hidden_params={"additional_headers": {"x-api-key": key("hidden_params.additional_headers")}}),
        spend_record(api_base=f"https://llm.example/v1?key={key('the query of api_base')}"),
        spend_record(api_base=f"https://user:{key('the password in api_base')}@llm.example/v1#{key('its fragment')}"),
        spend_record(messages=conversation, response={"choices": [{"message": prompt("response")}]}),
        spend_record(messages=f'["{prompt("messages as JSON text")}"]', response=prompt("response as text")),
        spend_record(proxy_server_request={"body": {"messages": prompt("proxy_server_request")}}),
        spend_record(request_tags=["blue", {"prompt": prompt("an object among the tags")}]),
        spend_record(user={"name": prompt("an object as the user")}, session_id=[prompt("a list as the session")]),
        spend_record(error_str=prompt("error_str"), exception=prompt("exception"), **failure),
        spend_record(error_information={"error_code": "400", **_error(needles, "error_information")}, **failure),
        spend_record(metadata={"error_information": _error(needles, "metadata.error_information")}, **failure),
        spend_record(model=prompt("the model of a failed request"), **failure),
        spend_record(model_group=prompt("the model group of a failed request"), **failure),
        _payload(model=prompt("the model of a failed payload"), status="failure"),
        _payload(metadata={"user_api_key_auth_metadata": {"k": key("user_api_key_auth_metadata")}}, status="success"),
    ]


def rejected_elements(needles: Needles) -> list[Any]:
    """Elements that cannot be counted: objects and others."""
    key, prompt = needles.key, needles.prompt
    return [
        key("a rejected string"),
        [key("a rejected array"), {"a": prompt("an object in a rejected array")}],
        spend_record(request_id=None, api_key=key("api_key of a rejected object")),
        spend_record(startTime=None, metadata={"user_api_key": f"Bearer {key('metadata of a rejected object')}"}),
        spend_record(
            spend=None,
            x={"y": key("an unknown field of a rejected object")},
            messages=prompt("messages of a rejected object"),
        ),
        spend_record(spend=prompt("a text cost")),
        spend_record(request_id={"a": prompt("an object as the request id")}),
        spend_record(startTime="yesterday", metadata=prompt("metadata that is text")),
    ]


def _error(needles: Needles, place: str) -> Record:
    return {
        "error_class": "BadRequestError",
        "error_message": needles.prompt(f"{place}.error_message"),
        "traceback": needles.prompt(f"{place}.traceback"),
    }


def _payload(**fields: Any) -> Record:
    """A record in LiteLLM's StandardLoggingPayload shape."""
    record = spend_record()
    times = {"startTime": 1773500966.5, "endTime": 1773500966.75}
    own = {"id": record["request_id"], "litellm_call_id": record["litellm_call_id"], "response_cost": 0.25, **times}
    return {**own, "call_type": "acompletion", **fields}
