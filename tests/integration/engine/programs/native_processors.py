"""vLLM's own processors, set up as its own model classes set them up."""

from __future__ import annotations

from typing import Any

from vllm.model_executor.models import deepseek_ocr, deepseek_ocr2, unlimited_ocr
from vllm.transformers_utils.processors.deepseek_ocr import DeepseekOCRProcessor
from vllm.transformers_utils.processors.unlimited_ocr import UnlimitedOCRProcessor


def native_processor(architecture: str, tokenizer: Any) -> Any:
    """Return the processor of a model, by the class name in its configuration."""
    match architecture:
        case deepseek_ocr.DeepseekOCRForCausalLM.__name__:
            return DeepseekOCRProcessor(tokenizer)
        case deepseek_ocr2.DeepseekOCR2ForCausalLM.__name__:
            side = deepseek_ocr2.IMAGE_SIZE
            return DeepseekOCRProcessor(tokenizer, image_size=side, strategy="v2")
        case unlimited_ocr.UnlimitedOCRForCausalLM.__name__:
            most = unlimited_ocr._UNLIMITED_OCR_MAX_CROPS
            return UnlimitedOCRProcessor(tokenizer, max_crops=most)
        case _:
            message = f"vLLM has no {architecture}"
            raise ValueError(message)
