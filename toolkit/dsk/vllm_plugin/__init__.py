"""DeepSeek-OCR for vLLM's V0 and V1 engines, as a vLLM plugin."""

from __future__ import annotations

import os
from typing import Final

ARCHITECTURE: Final = "DeepseekOCRForCausalLM"

NATIVE_SWITCH: Final = "DSK_NATIVE_MODEL"
"""Set to anything, vLLM's own model is used where it has one, to compare with."""


def register() -> None:
    """Called by vLLM in every process, before it reads a model's configuration.

    vLLM 0.8 gets our V0 model. A vLLM that has its own gets the corrections it needs and, where
    its processors are called as 0.24.0's and 0.32.0's are, our V1 model in its place, unless
    ``DSK_NATIVE_MODEL`` is set. Any other (0.9 to 0.11.0) is left alone. A checkpoint's own code is
    patched in all of them, unless ``DSK_NO_PATCH`` says no.
    """
    import vllm

    from dsk import transformers_patch

    transformers_patch.install()
    if vllm.__version__.startswith("0.8."):
        from dsk.vllm_plugin.v0 import server

        vllm.ModelRegistry.register_model(ARCHITECTURE, f"{__name__}.v0.model:{ARCHITECTURE}")
        server.mend()
    elif ARCHITECTURE in vllm.ModelRegistry.get_supported_archs():
        from dsk.vllm_plugin.v1 import corrections

        corrections.apply()
        if corrections.takes_our_processor() and not os.environ.get(NATIVE_SWITCH):
            vllm.ModelRegistry.register_model(ARCHITECTURE, f"{__name__}.v1.model:{ARCHITECTURE}")
