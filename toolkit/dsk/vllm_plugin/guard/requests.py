"""Guard settings of a request: its own, or the server's default."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from dsk.vllm_plugin.guard.ngram import GuardSettings, NgramGuard

# Environment variable with `GuardSettings` as JSON, for requests that carry none; `dsk serve` sets
# it.
DEFAULT_VARIABLE: Final = "DSK_NGRAM_DEFAULT"


def default_settings() -> GuardSettings | None:
    """Return the settings for requests that carry no ``ngram_size``; None is no guard."""
    return GuardSettings.from_args(json.loads(os.environ.get(DEFAULT_VARIABLE, "{}")))


def request_settings(params: Any, default: GuardSettings | None) -> GuardSettings | None:
    """Return a request's settings, from its ``extra_args`` or the default; None is no guard.

    Raises:
        ValueError: a value is of another type or out of range.
    """
    carried = params.extra_args or {}
    return GuardSettings.from_args(carried) if "ngram_size" in carried else default


def attach(sampling_metadata: Any, default: GuardSettings | None) -> None:
    """Attach guards to the new requests of a V0 step that came without one."""
    # V0 takes logits processors from requests alone: each gets its guard when it is first computed.
    for group in sampling_metadata.seq_groups or () if sampling_metadata else ():
        params = group.sampling_params
        own = params.logits_processors or []
        if any(isinstance(processor, NgramGuard) for processor in own):
            continue
        settings = request_settings(params, default)
        if settings is not None:
            params.logits_processors = [*own, NgramGuard(settings)]
