"""DeepSeek-OCR for vLLM's V0 engine and corrections for V1, as a vLLM plugin."""

from __future__ import annotations

from typing import Final

ARCHITECTURE: Final = "DeepseekOCRForCausalLM"


def register() -> None:
    """Called by vLLM in every process, before it reads a model's configuration.

    vLLM 0.8 gets our model. A vLLM that has its own gets the corrections it needs. Any other
    (0.9 to 0.11.0) is left alone. A checkpoint's own code is patched in all of them, unless
    ``DSK_NO_PATCH`` says no.
    """
    import vllm

    from dsk import transformers_patch

    transformers_patch.install()
    if vllm.__version__.startswith("0.8."):
        from dsk.vllm_plugin import server

        vllm.ModelRegistry.register_model(ARCHITECTURE, f"{__name__}.model:{ARCHITECTURE}")
        server.mend()
    elif ARCHITECTURE in vllm.ModelRegistry.get_supported_archs():
        from dsk.vllm_plugin import corrections

        corrections.apply()
