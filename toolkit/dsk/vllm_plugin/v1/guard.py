"""The n-gram guard as a V1 logits processor: ``--logits-processors`` takes this class's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from dsk.vllm_plugin.guard.ngram_batch import BatchGuard, GuardedSequence
from dsk.vllm_plugin.guard.requests import default_settings, request_settings


class NgramGuardProcessor(LogitsProcessor):
    """Reads ``ngram_size``, ``window_size`` and ``whitelist_token_ids`` of each request.

    All bans of a step go to the device in one copy that nothing waits for: vLLM's adapter for
    guards of single requests writes each row by itself, and waits for the device each time.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        del vllm_config
        self._default = default_settings()
        self._pinned = is_pin_memory and device.type == "cuda"
        self._never = torch.tensor(-float("inf"), device=device)
        self._requests: dict[int, GuardedSequence] = {}
        self._guard = BatchGuard()

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose numbers are not valid, before it is scheduled."""
        request_settings(sampling_params, None)

    def is_argmax_invariant(self) -> bool:
        """It bans tokens, so it may change which is likeliest."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Hear which requests have come, gone and moved."""
        if process_dict_updates(self._requests, batch_update, self._guarded):
            self._guard.hold(self._requests)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Ban in ``logits`` (requests, vocabulary), in place."""
        if self._requests:
            rows, tokens = self._guard.banned()
            if len(rows):
                places = torch.from_numpy(np.stack((rows, tokens)))
                if self._pinned:
                    places = places.pin_memory()
                here = places.to(logits.device, non_blocking=True)
                logits.index_put_((here[0], here[1]), self._never.to(logits.dtype))
        return logits

    def _guarded(
        self, params: Any, prompt: list[int] | None, output: list[int]
    ) -> GuardedSequence | None:
        del prompt
        settings = request_settings(params, self._default)
        return GuardedSequence(settings, output) if settings else None
