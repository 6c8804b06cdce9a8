"""LiteLLM's event -> one spend record: a pure function of what LiteLLM hands to a callback.

Copies the allow list of `fields` out of the StandardLoggingPayload and adds what only the request
holds: the caller's `user`, the hashed key, agent, project, origin, a Router's attempts and the names of
the tools that were called; and LiteLLM's own figure of what a prompt cache saved.
Keeps no reference to prompt or response. Sources of each field: LiteLLM's spend_tracking_utils.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from .encode import cut
from .fields import ANY, HIDDEN, LIST, RECORD, REQUEST, REQUEST_METADATA, Fields
from .retrievals import id_of_cost, is_replay, tells_nothing
from .savings import prompt_caching_savings
from .tools import called_tools

log = logging.getLogger("litellm_spend")

_SCALARS: Final = (str, int, float, bool)
_EXACT: Final = frozenset(_SCALARS)
_SHA256_HEX: Final = re.compile(r"(?:hashed-jwt-)?[0-9a-fA-F]{64}")
_USER_AND_PASSWORD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*@")
# Names that LiteLLM's proxy uses in place of a key hash.
_KEY_ALIASES: Final = frozenset(("litellm_proxy_master_key", "litellm-internal-health-check", "litellm-cli"))
# The LiteLLM proxy that serves these requests records them itself.
_RECORDED_ELSEWHERE: Final = "litellm_proxy"


def spend_record(kwargs: Mapping[str, Any], response: Any = None) -> dict[str, Any] | None:
    """The spend record of a finished call, as `litellm_record_spend` takes it.

    `kwargs` is what LiteLLM passes to a callback's hooks; `response` its `response_obj`, from which
    only the names of called tools and the state of background work are read. None where there is nothing
    to record: no StandardLoggingPayload, a call to a LiteLLM proxy, which records it itself, or the
    retrieval of a batch whose cost is not known yet.
    """
    payload = kwargs.get("standard_logging_object")
    if not isinstance(payload, Mapping) or payload.get("custom_llm_provider") == _RECORDED_ELSEWHERE:
        return None
    answer = payload.get("response") if response is None else response
    if tells_nothing(payload, answer):
        return None
    record = _pick(payload, RECORD)
    metadata = record.setdefault("metadata", {})
    call_id = kwargs.get("litellm_call_id")
    if "litellm_call_id" not in record and isinstance(call_id, str):
        record["litellm_call_id"] = call_id  # LiteLLM 1.79's payload lacks it
    if work := id_of_cost(payload, answer):
        record["id"] = record["litellm_call_id"] = work
    if is_replay(payload, answer):
        record.update(response_cost=0.0, prompt_tokens=0, completion_tokens=0, total_tokens=0)
        metadata.pop("usage_object", None)
    if record.get("cache_hit") is True:
        record["response_cost"] = 0.0  # LiteLLM 1.79 tells a sync call the avoided cost
    if isinstance(hidden := payload.get("hidden_params"), Mapping):
        metadata.update(_pick(hidden, HIDDEN))
        if not record.get("api_base"):
            _copy_scalar(hidden, "api_base", record)
    if isinstance(api_base := record.get("api_base"), str):
        record["api_base"] = _bare_url(api_base)
    user = kwargs.get("user")
    if isinstance(user, str) and not metadata.get("user_api_key_user_id"):
        record["user"] = user
    params = kwargs.get("litellm_params")
    sources = list(_request_metadata(params))
    _copy_scalar(kwargs, "agent_id", record)
    for source in sources:
        _copy_missing(source, REQUEST, record)
        _copy_missing(source, REQUEST_METADATA, metadata)
    _copy_scalar(params, "user_api_key_end_user_id", metadata)
    if isinstance(params, Mapping) and isinstance(cache_key := params.get("preset_cache_key"), str):
        record.setdefault("cache_key", cache_key)
    if not _end_users_are_tracked():
        record.pop("end_user", None)
        metadata.pop("user_api_key_end_user_id", None)
    key = _api_key(payload.get("metadata"), sources)
    if key:
        record["api_key"] = metadata["user_api_key_hash"] = key
    _add(record, "tool_calls", lambda: called_tools(answer, kwargs.get("realtime_tool_calls")))
    _add(record, "prompt_caching_savings_spend", lambda: prompt_caching_savings(payload))
    return record


def _add(record: dict[str, Any], key: str, find: Callable[[], Any]) -> None:
    """Adds what `find` finds; a record without it is better than none."""
    try:
        value = find()
    except Exception as error:
        log.debug("%s could not be found: %s", key, type(error).__name__)
        return
    if value:
        record[key] = value


def _pick(source: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    # A copy: another callback may change its payload meanwhile, on another thread.
    for key, value in list(source.items()):
        if value is None or key not in fields:
            continue
        rule = fields[key]
        if rule is None:
            # The exact types first: they are nearly all that is seen.
            if type(value) in _EXACT or isinstance(value, _SCALARS):
                picked[key] = value
        elif rule is LIST:
            if isinstance(value, (list, tuple)):
                picked[key] = [item for item in value if isinstance(item, _SCALARS)]
        elif rule is ANY:
            picked[key] = cut(value)
        elif type(value) is dict or isinstance(value, Mapping):
            picked[key] = _pick(value, rule)
    return picked


def _copy_scalar(source: Any, key: str, record: dict[str, Any]) -> None:
    if type(source) is dict or isinstance(source, Mapping):
        value = source.get(key)
        if value is not None and isinstance(value, _SCALARS):
            record[key] = value


def _copy_missing(source: Mapping[str, Any], names: frozenset[str], record: dict[str, Any]) -> None:
    for name in names & source.keys():
        if name not in record:
            _copy_scalar(source, name, record)


def _request_metadata(params: Any) -> Iterator[Mapping[str, Any]]:
    """`metadata=` before `litellm_metadata=`, as in LiteLLM's own payload."""
    if isinstance(params, Mapping):
        for name in ("metadata", "litellm_metadata"):
            source = params.get(name)
            if isinstance(source, Mapping):
                yield source


def _bare_url(url: str) -> str:
    """Without user, password, query and fragment, in which some applications put a provider's key."""
    return re.split("[?#]", _USER_AND_PASSWORD.sub(r"\1", url), maxsplit=1)[0]


def _end_users_are_tracked() -> bool:
    return not getattr(sys.modules.get("litellm"), "disable_end_user_cost_tracking", False)


def _api_key(payload_metadata: Any, sources: list[Mapping[str, Any]]) -> str:
    if isinstance(payload_metadata, Mapping):
        key = payload_metadata.get("user_api_key_hash")
        if isinstance(key, str) and key:
            return stored_key(key)
    for source in sources:
        key = source.get("user_api_key")
        if isinstance(key, str) and key:
            return stored_key(key)
    return ""


def stored_key(key: str) -> str:
    """LiteLLM's stored form of a key: sha256 hex, unless it is one already or a service alias."""
    key = key.strip()
    if key[:7].lower() == "bearer ":
        key = key[7:].lstrip()
    if not key or key in _KEY_ALIASES or _SHA256_HEX.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
