"""Which requests the n-gram guard is for, on the V0 engine: what they carry, or the default."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from dsk.vllm_plugin.guard.ngram import GuardSettings, NgramGuard

DEFAULT_VARIABLE: Final = "DSK_NGRAM_DEFAULT"
"""JSON of `GuardSettings` for requests that carry none; `dsk serve` sets it."""


def default_settings() -> GuardSettings | None:
    """The guard for requests that carry no ``ngram_size``; None is no guard."""
    return GuardSettings.from_args(json.loads(os.environ.get(DEFAULT_VARIABLE, "{}")))


def request_settings(params: Any, default: GuardSettings | None) -> GuardSettings | None:
    """The settings of a request: its ``extra_args``', ``ngram_size`` 0 for none, or the default.

    Raises:
        ValueError: they are not valid.
    """
    carried = params.extra_args or {}
    return GuardSettings.from_args(carried) if "ngram_size" in carried else default


def attach(sampling_metadata: Any, default: GuardSettings | None) -> None:
    """Give a V0 step's new requests their guards, unless they came with one of their own."""
    for group in sampling_metadata.seq_groups or () if sampling_metadata else ():
        params = group.sampling_params
        own = params.logits_processors or []
        if any(isinstance(processor, NgramGuard) for processor in own):
            continue
        settings = request_settings(params, default)
        if settings is not None:
            params.logits_processors = [*own, NgramGuard(settings)]
