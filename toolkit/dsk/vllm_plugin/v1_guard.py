"""The n-gram guard as a V1 logits processor: ``--logits-processors`` takes this class's name."""

from __future__ import annotations

from typing import Any

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from dsk.vllm_plugin.guard import default_settings, settings_of
from dsk.vllm_plugin.ngram import NgramGuard


class NgramGuardProcessor(AdapterLogitsProcessor):
    """Reads ``ngram_size``, ``window_size`` and ``whitelist_token_ids`` of each request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default_settings()

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose numbers are not valid, before it is scheduled."""
        settings_of(sampling_params, None)

    def is_argmax_invariant(self) -> bool:
        """It bans tokens, so it may change which is likeliest."""
        return False

    def new_req_logits_processor(self, params: Any) -> NgramGuard | None:
        """A request's guard, or None."""
        settings = settings_of(params, self.default)
        return NgramGuard(settings) if settings else None
