"""Embed the pages with vLLM's own model and processor, in float32.

Usage: tower_native.py MODEL_ID CHECKPOINT PAGES OUT.npz
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoTokenizer, CLIPVisionConfig
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.model_executor.models import deepseek_ocr, deepseek_ocr2
from vllm.model_executor.models.deepencoder import (
    DeepCLIPVisionTransformer,
    ImageEncoderViT,
    build_sam_vit_b,
)
from vllm.model_executor.models.deepencoder2 import build_qwen2_decoder_as_encoder
from vllm.transformers_utils.processors.deepseek_ocr import DeepseekOCRProcessor

from dsk import models

NATIVE = deepseek_ocr.DeepseekOCRForCausalLM
NATIVE_2 = deepseek_ocr2.DeepseekOCR2ForCausalLM
CLIP = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_attention_heads=16,
    num_hidden_layers=24,
    image_size=224,
    patch_size=14,
    projection_dim=512,
    layer_norm_eps=1e-5,
)


def projector(inputs: int) -> torch.nn.Module:
    return deepseek_ocr.MlpProjector(
        SimpleNamespace(
            projector_type="linear",
            input_dim=inputs,
            n_embed=1280,
            downsample_ratio=2,
            depth=1,
            mlp_ratio=1,
            token_pooling=False,
        )
    )


class ClipVision(torch.nn.Module):  # type: ignore[misc]
    """The native model without its decoder: its own methods on its own parts."""

    _encode_global_features = NATIVE._encode_global_features
    _encode_local_features = NATIVE._encode_local_features
    _assemble_patch_grid = NATIVE._assemble_patch_grid
    embed = NATIVE._pixel_values_to_embedding

    def __init__(self) -> None:
        super().__init__()
        self.sam_model = build_sam_vit_b()
        self.vision_model = DeepCLIPVisionTransformer(CLIP, prefix="vision_model")
        self.projector = projector(2048)
        self.image_newline = torch.nn.Parameter(torch.zeros(1280))
        self.view_seperator = torch.nn.Parameter(torch.zeros(1280))


class QueryVision(torch.nn.Module):  # type: ignore[misc]
    """The same of the model whose second encoder is Qwen2."""

    _encode_global_features = NATIVE_2._encode_global_features
    _encode_local_features = NATIVE_2._encode_local_features
    embed = NATIVE_2._pixel_values_to_embedding

    def __init__(self) -> None:
        super().__init__()
        # As the native model's constructor has it.
        self.sam_model = ImageEncoderViT(
            depth=12,
            embed_dim=768,
            img_size=1024,
            mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=12,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=(2, 5, 8, 11),
            window_size=14,
            out_chans=256,
            last_conv_output=896,
        )
        self.qwen2_model = build_qwen2_decoder_as_encoder()
        self.projector = projector(896)
        self.view_seperator = torch.nn.Parameter(torch.zeros(1280))


def native(model_id: str, tokenizer: Any) -> tuple[Any, Any]:
    """Return the native towers and the native processor of a model."""
    vision = models.profile(model_id).record.vision
    if vision.qwen2:
        strategy = {"image_size": deepseek_ocr2.IMAGE_SIZE, "strategy": "v2"}
        return QueryVision(), DeepseekOCRProcessor(tokenizer, **strategy)
    return ClipVision(), DeepseekOCRProcessor(tokenizer, max_crops=vision.max_tiles)


def main(model_id: str, checkpoint: Path, pages: Path, out: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    with set_current_vllm_config(VllmConfig()), torch.inference_mode():
        init_distributed_environment(1, 0, f"file://{out}.rendezvous", local_rank=0, backend="gloo")
        initialize_model_parallel(1, 1)
        model, processor = native(model_id, AutoTokenizer.from_pretrained(checkpoint))
        with safe_open(checkpoint / "model.safetensors", "pt") as file:
            for name, parameter in model.named_parameters():
                parameter.copy_(file.get_tensor(f"model.{name}"))
        for module in model.modules():
            if getattr(module, "quant_method", None) is not None:
                module.quant_method.process_weights_after_loading(module)
        found = {}
        for name in sorted(pages.glob("*.png")):
            inputs = processor(prompt="<image>", images=[Image.open(name)])
            (found[name.stem],) = model.embed(
                inputs["pixel_values"], inputs["images_crop"], inputs["images_spatial_crop"]
            )
    np.savez(out, **{name: rows.numpy() for name, rows in found.items()})


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
