"""N-gram guard as a logits processor of vLLM's V1 engine, for ``--logits-processors``."""

from __future__ import annotations

from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

from dsk.vllm_plugin.guard.requests import request_settings

try:
    from vllm.v1.worker.gpu.sample.logits_processor.interface import (
        LogitsProcessor as DeviceLogitsProcessor,
    )
except ImportError:
    # Before 0.31.0 no runner takes processors of that interface.
    DeviceLogitsProcessor = LogitsProcessor


class NgramGuardProcessor(*dict.fromkeys((LogitsProcessor, DeviceLogitsProcessor))):  # type: ignore[misc]
    """Guard that either model runner accepts: one name for the engine, whichever it takes.

    Requests carry ``ngram_size``, ``window_size`` and ``whitelist_token_ids`` in ``extra_args``.
    """

    # vLLM needs the name before it decides on the runner. Each runner accepts subclasses of its own
    # interface alone, and calls the class with its own arguments.
    def __new__(cls, vllm_config: Any, *arguments: Any) -> Any:
        """Return the guard for the runner whose arguments these are."""
        if len(arguments) == 1:
            from dsk.vllm_plugin.v1.device_guard import DeviceGuard

            return DeviceGuard(vllm_config, *arguments)
        from dsk.vllm_plugin.v1.host_guard import HostGuard

        return HostGuard(vllm_config, *arguments)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request with bad settings, before it is scheduled."""
        request_settings(sampling_params, None)
