"""DeepSeek-OCR for vLLM's V0 and V1 engines, as a vLLM plugin."""

from __future__ import annotations


def register() -> None:
    """Register dsk's models; vLLM calls this in every process before it reads a configuration."""
    from dsk.vllm_plugin import registration

    registration.register()
