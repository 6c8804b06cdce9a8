"""The hooks that LiteLLM calls. They turn an event into a record and queue it, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from ._intake.intake import Intake
from ._log import RateLimitedLog
from ._process import lifecycle
from ._proxy.failures import failure_events


class Hooks(CustomLogger):
    """Passes LiteLLM's events to the intake. Its hooks never raise and never wait."""

    _is_enabled: bool
    _intake: Intake
    _hook_log: RateLimitedLog

    def attach_sync_delivery(self) -> None:
        """Makes sure that async successes arrive although their event loop ends."""
        raise NotImplementedError

    def _start_sender(self) -> None:
        """Starts the thread that sends, so that it tells at the first call if the configuration cannot work."""
        raise NotImplementedError

    def _finish_if_exiting(self) -> None:
        """Sends what is queued if the process ends."""
        raise NotImplementedError

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        self._before_call(kwargs)

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        self._before_call(kwargs)
        if not self._is_enabled:
            return
        try:
            self._intake.started_async(kwargs, call_type)
        except Exception as error:
            self._hook_log.error(f"the metadata of a call could not be read: {type(error).__name__}")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        """LiteLLM calls this when a proxy's request has failed, with all its attempts."""
        if not self._is_enabled:
            return
        try:
            for event in failure_events(request_data, original_exception, user_api_key_dict):
                self._receive_failure(event, None, ended=True)
        except Exception as error:
            self._hook_log.error(f"a failed request of the proxy could not be recorded: {type(error).__name__}")

    def _before_call(self, kwargs: Any) -> None:
        if not self._is_enabled:
            return
        self.attach_sync_delivery()
        try:
            lifecycle.watch_sigterm()
            self._start_sender()
            self._intake.started(kwargs)
        except Exception as error:
            self._hook_log.error(f"the start of a call could not be handled: {type(error).__name__}")

    def _receive(self, kwargs: Mapping[str, Any], response: Any) -> None:
        if not self._is_enabled:
            return
        try:
            lifecycle.watch_sigterm()
            self._intake.finished(kwargs, response)
            self._finish_if_exiting()
        except Exception as error:
            self._hook_log.error(f"an event could not be recorded: {type(error).__name__}")

    def _receive_failure(self, kwargs: Mapping[str, Any], response: Any, *, ended: bool = False) -> None:
        if not self._is_enabled:
            return
        try:
            lifecycle.watch_sigterm()
            self._intake.failed(kwargs, response, ended=ended)
            self._finish_if_exiting()
        except Exception as error:
            self._hook_log.error(f"a failure could not be recorded: {type(error).__name__}")
