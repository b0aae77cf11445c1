"""N-gram guard for Model Runner V2, which keeps tokens on the device and goes by slots."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from vllm.utils.platform_utils import is_pin_memory_available
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor

from dsk.vllm_plugin.guard.ngram_device import Histories, ban_repeats
from dsk.vllm_plugin.guard.requests import default_settings, request_settings


class DeviceGuard(LogitsProcessor):
    """Guard of all requests of the engine, each in its slot.

    A step copies nothing to the host, and to the device only what new requests bring.
    """

    def __init__(self, vllm_config: Any, req_states: Any) -> None:
        del vllm_config
        self._default = default_settings()
        self._states = req_states
        self._pinned = req_states.device.type == "cuda" and is_pin_memory_available()
        # By slot, as `ban_repeats` takes them. A slot without a guard looks back over no distance.
        self._settings = np.zeros((3, req_states.max_num_reqs), np.int32)
        self._settings_there = self._on_device(self._settings)
        self._settings_changed = False
        # Requests of one model mostly allow the same tokens: each different list has one row.
        self._lists: dict[frozenset[int], int] = {}
        self._new_lists: dict[int, frozenset[int]] = {}
        self._allowed = self._on_device(np.zeros((1, req_states.vocab_size), np.bool_))

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Set a slot for its new request; return True if it is guarded."""
        settings = request_settings(sampling_params, self._default)
        distances = settings.window_size - settings.ngram_size + 1 if settings else 0
        guarded = settings is not None and distances > 0
        row = (0, 0, 0)
        if settings is not None and guarded:
            row = (settings.ngram_size - 1, distances, self._list(settings.whitelist_token_ids))
        self._settings[:, req_idx] = row
        self._settings_changed = True
        return guarded

    def apply_staged_writes(self) -> None:
        """Copy what new requests have brought to the device, in the order of the step's kernels."""
        for row, tokens in self._new_lists.items():
            marks = np.zeros(self._states.vocab_size, np.bool_)
            marks[[token for token in tokens if 0 <= token < len(marks)]] = True
            while row >= len(self._allowed):
                self._allowed = torch.cat((self._allowed, torch.zeros_like(self._allowed)))
            self._allowed[row] = self._on_device(marks)
        self._new_lists.clear()
        if self._settings_changed:
            self._settings_there = self._on_device(self._settings)
            self._settings_changed = False

    def apply(self, logits: torch.Tensor, ctx: Any) -> torch.Tensor:
        """Ban in ``logits`` (rows, vocabulary), in place."""
        prefix, distances, _ = self._settings[:, ctx.idx_mapping_np].max(axis=1, initial=0)
        if distances:
            # More rows than requests: some of them have seen draft tokens.
            drafts = len(ctx.expanded_idx_mapping) != len(ctx.idx_mapping_np)
            histories = Histories(
                tokens=self._states.all_token_ids.gpu,
                prompt_lengths=self._states.prompt_len.gpu,
                slots=ctx.expanded_idx_mapping,
                ends=ctx.pos,
                drafts=(ctx.expanded_local_pos, ctx.input_ids) if drafts else None,
            )
            ban_repeats(
                logits,
                histories,
                self._settings_there,
                self._allowed,
                largest_prefix=int(prefix),
                largest_distance=int(distances),
            )
        return logits

    def _list(self, tokens: frozenset[int]) -> int:
        """Return the row of a list of tokens, one that no slot uses any more if it is new."""
        if tokens not in self._lists:
            used = set(self._settings[2].tolist())
            self._lists = {each: row for each, row in self._lists.items() if row in used}
            taken = set(self._lists.values())
            row = next(row for row in itertools.count() if row not in taken)
            self._lists[tokens] = row
            self._new_lists[row] = tokens
        return self._lists[tokens]

    def _on_device(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        # A copy: the host goes on writing to the array. From pinned memory it need not wait.
        copied = torch.from_numpy(array.copy())
        if self._pinned:
            copied = copied.pin_memory()
        return copied.to(self._states.device, non_blocking=True)
