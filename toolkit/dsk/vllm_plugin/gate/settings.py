"""Settings of the gate, which `dsk serve` hands to the server's process in its environment."""

from __future__ import annotations

import os
from typing import Final, Self

from dsk.frozen import Frozen

# Import path for vLLM's ``--middleware``.
MIDDLEWARE: Final = "dsk.vllm_plugin.gate.middleware.Gate"
# Environment variable with `GateSettings` as JSON.
SETTINGS_VARIABLE: Final = "DSK_GATE"
# vLLM's own variable: its own check, of some paths only, stays in force behind the gate.
KEY_VARIABLE: Final = "VLLM_API_KEY"


class GateSettings(Frozen):
    """Limits of a server.

    Args:
        host: the address that the server listens on.
        images: the most images of a request.
        max_pixels: the most pixels of an image.
        max_body: the most bytes of a request's body.
        urls: True if images may be fetched by URL.
    """

    host: str = "127.0.0.1"
    images: int = 1
    max_pixels: int = 50_000_000
    max_body: int = 64 << 20
    urls: bool = False

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings of this process; the defaults where none are set."""
        return cls.model_validate_json(os.environ.get(SETTINGS_VARIABLE) or "{}")
