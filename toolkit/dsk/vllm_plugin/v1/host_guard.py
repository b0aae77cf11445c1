"""N-gram guard for the V1 model runner, which keeps each request's tokens in lists on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from dsk.vllm_plugin.guard.ngram_batch import BatchGuard, GuardedSequence
from dsk.vllm_plugin.guard.requests import default_settings, request_settings


class HostGuard(LogitsProcessor):
    """Guard of all requests of the engine."""

    # A processor of the batch, not vLLM's adapter for guards of single requests: that one writes
    # the logits row by row, and waits for the device each time.

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        del vllm_config
        self._default = default_settings()
        self._pinned = is_pin_memory and device.type == "cuda"
        self._never = torch.tensor(-float("inf"), device=device)
        self._requests: dict[int, GuardedSequence] = {}
        self._guard = BatchGuard()

    def is_argmax_invariant(self) -> bool:
        """Return False: a ban may change which token is the likeliest."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow the requests that have come, gone or moved to another row."""
        if process_dict_updates(self._requests, batch_update, self._new_sequence):
            self._guard.set_sequences(self._requests)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Ban in ``logits`` (requests, vocabulary), in place."""
        if self._requests:
            rows, tokens = self._guard.banned()
            if len(rows):
                # One copy for the whole step; from pinned memory, so that the CPU need not wait for
                # the device.
                indices = torch.from_numpy(np.stack((rows, tokens)))
                if self._pinned:
                    indices = indices.pin_memory()
                indices = indices.to(logits.device, non_blocking=True)
                logits.index_put_((indices[0], indices[1]), self._never.to(logits.dtype))
        return logits

    def _new_sequence(
        self, params: Any, prompt: list[int] | None, output: list[int]
    ) -> GuardedSequence | None:
        del prompt
        settings = request_settings(params, self._default)
        return GuardedSequence(settings, output) if settings else None
