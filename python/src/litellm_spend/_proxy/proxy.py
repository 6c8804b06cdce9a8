"""Reads the state of the LiteLLM proxy in this process, if there is one.

The proxy's module is looked up and never imported, because an application of the SDK has none. Sources: LiteLLM's
proxy_server.py, route_checks.py, db_spend_update_writer.py, spend_tracking_utils.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

log = logging.getLogger("litellm_spend")

# The row of LiteLLM's user table with which a proxy enforces `litellm_settings.max_budget`.
_BUDGET_NAME: Final = "litellm-proxy-budget"
# A proxy that serves requests has set at least one of these.
_SET_WHEN_SERVING: Final = ("prisma_client", "llm_router", "master_key")
# LiteLLM puts the HTTP request of a client under this name.
_HTTP_REQUEST: Final = "proxy_server_request"
# LiteLLM's mark of a call that the proxy refused before any provider saw it.
_NO_PROVIDER_CALL: Final = "litellm_no_upstream_llm_call"


def module() -> Any:
    """LiteLLM's module of the proxy; None if it is not loaded. Integrations of the SDK load it too."""
    return sys.modules.get("litellm.proxy.proxy_server")


def is_serving() -> bool:
    """Whether this process runs a LiteLLM proxy that has been set up. It is not enough that the module is loaded."""
    loaded = module()
    if loaded is None:
        return False
    return bool(_settings(loaded)) or any(getattr(loaded, name, None) is not None for name in _SET_WHEN_SERVING)


def own_writer_is_off() -> bool:
    """Whether this process is a LiteLLM proxy whose own writer is off."""
    return _settings(module()).get("disable_spend_updates") is True


def own_writer_is_on() -> bool:
    """Whether this process is a LiteLLM proxy with a database, whose own writer is on."""
    return getattr(module(), "prisma_client", None) is not None and not own_writer_is_off()


def is_proxy_request(kwargs: Mapping[str, Any]) -> bool:
    """Whether an event belongs to a request to the proxy. LiteLLM reports the failure of such a request once more."""
    params = kwargs.get("litellm_params")
    http_request = kwargs.get(_HTTP_REQUEST) or (isinstance(params, Mapping) and params.get(_HTTP_REQUEST))
    return bool(http_request or kwargs.get(_NO_PROVIDER_CALL)) and is_serving()


def is_made_outside(params: Mapping[str, Any]) -> bool:
    """Whether no LiteLLM proxy answers the call. A proxy that answers it counts the request itself.

    The answer comes from the call's `litellm_params`. A proxy passes on the HTTP request of most calls. It passes on
    the key of all calls, which is None if it asks for none. In an application's own process the key proves nothing,
    because the application may name one too. A call that a proxy's hook makes on its own has neither.
    """
    if params.get(_HTTP_REQUEST):
        return False
    return not is_serving() or not (_has_key(params.get("metadata")) or _has_key(params.get("litellm_metadata")))


def budget_name() -> str | None:
    """The user row of the proxy's own budget; None if the proxy has no budget or its own writer charges it."""
    if not own_writer_is_off():
        return None
    budget = getattr(sys.modules.get("litellm"), "max_budget", 0) or 0
    return _BUDGET_NAME if budget > 0 else None


def logs_errors() -> bool:
    """Whether the proxy is set to log failed requests."""
    return _settings(module()).get("disable_error_logs") is not True


def logs_failures_of(route: Any, team_id: Any) -> bool:
    """Whether a failed request on this route went to a model, and not to the management or the UI."""
    checks = getattr(sys.modules.get("litellm.proxy.auth.route_checks"), "RouteChecks", None)
    if route is None or checks is None:
        return True
    if not (checks.is_llm_api_route(route=route) or checks.is_info_route(route=route)):
        return False
    is_dashboards = getattr(checks, "is_dashboard_session_info_route", None)
    return is_dashboards is None or not is_dashboards(route, team_id)


def suppresses_failure(error: BaseException, request: Mapping[str, Any]) -> bool:
    """Whether the proxy is set not to log this failure, because it refused the request before choosing a provider."""
    if _settings(module()).get("disable_pre_routing_error_logs") is not True:
        return False
    hooks = sys.modules.get("litellm.proxy.hooks.proxy_track_cost_callback")
    is_refused = getattr(hooks, "is_pre_routing_rejection", None)
    return is_refused is not None and is_refused(error, request)


def cache_key(arguments: Mapping[str, Any]) -> str | None:
    """The key of a call in the proxy's cache, if it has one."""
    cache = getattr(sys.modules.get("litellm"), "cache", None)
    if cache is None or not is_serving():
        return None
    try:
        key: str | None = cache.get_cache_key(**arguments)
        return key
    except Exception as error:
        log.debug("the cache key of a call could not be computed: %s", type(error).__name__)
        return None


def deployment(model_id: Any) -> dict[str, str | None]:
    """The model, provider, address and group of a deployment; empty if the proxy no longer knows it."""
    router = getattr(module(), "llm_router", None)
    found = router.get_deployment(model_id=model_id) if router is not None and model_id else None
    if found is None:
        return {}
    params = found.litellm_params
    return {
        "model": params.model,
        "custom_llm_provider": _provider(params.model, params.custom_llm_provider),
        "api_base": params.api_base,
        "model_group": found.model_name,
    }


def provider_of_group(group: Any) -> str | None:
    """The provider of a model group, if all its deployments have the same provider."""
    router = getattr(module(), "llm_router", None)
    if router is None or not isinstance(group, str) or not group:
        return None
    params = [model["litellm_params"] for model in router.get_model_list(model_name=group) or ()]
    providers = {_provider(each.get("model"), each.get("custom_llm_provider")) for each in params}
    return providers.pop() if len(providers) == 1 else None


def _provider(model: Any, named: Any) -> str | None:
    import litellm

    try:
        provider: str | None = named or litellm.get_llm_provider(model=model)[1]
        return provider
    except Exception:
        return None


def _has_key(metadata: Any) -> bool:
    return isinstance(metadata, Mapping) and "user_api_key" in metadata


def _settings(loaded: Any) -> Mapping[str, Any]:
    settings = getattr(loaded, "general_settings", None)
    return settings if isinstance(settings, Mapping) else {}
