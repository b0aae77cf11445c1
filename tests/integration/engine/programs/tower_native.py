"""Embed the pages with vLLM's own model and processor, in float32.

Usage: tower_native.py CHECKPOINT PAGES OUT.npz
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoTokenizer, CLIPVisionConfig
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.model_executor.models import deepseek_ocr
from vllm.model_executor.models.deepencoder import DeepCLIPVisionTransformer, build_sam_vit_b
from vllm.transformers_utils.processors.deepseek_ocr import DeepseekOCRProcessor

NATIVE = deepseek_ocr.DeepseekOCRForCausalLM
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


class Vision(torch.nn.Module):  # type: ignore[misc]
    """The native model without its decoder: its own methods on its own parts."""

    _encode_global_features = NATIVE._encode_global_features
    _encode_local_features = NATIVE._encode_local_features
    _assemble_patch_grid = NATIVE._assemble_patch_grid
    embed = NATIVE._pixel_values_to_embedding

    def __init__(self) -> None:
        super().__init__()
        projector = SimpleNamespace(
            projector_type="linear",
            input_dim=2048,
            n_embed=1280,
            downsample_ratio=2,
            depth=1,
            mlp_ratio=1,
            token_pooling=False,
        )
        self.sam_model = build_sam_vit_b()
        self.vision_model = DeepCLIPVisionTransformer(CLIP, prefix="vision_model")
        self.projector = deepseek_ocr.MlpProjector(projector)
        self.image_newline = torch.nn.Parameter(torch.zeros(1280))
        self.view_seperator = torch.nn.Parameter(torch.zeros(1280))


def main(checkpoint: Path, pages: Path, out: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    with set_current_vllm_config(VllmConfig()), torch.inference_mode():
        init_distributed_environment(1, 0, f"file://{out}.rendezvous", local_rank=0, backend="gloo")
        initialize_model_parallel(1, 1)
        model = Vision()
        with safe_open(checkpoint / "model.safetensors", "pt") as file:
            for name, parameter in model.named_parameters():
                parameter.copy_(file.get_tensor(f"model.{name}"))
        for module in model.modules():
            if getattr(module, "quant_method", None) is not None:
                module.quant_method.process_weights_after_loading(module)
        processor = DeepseekOCRProcessor(AutoTokenizer.from_pretrained(checkpoint))
        found = {}
        for name in sorted(pages.glob("*.png")):
            inputs = processor(prompt="<image>", images=[Image.open(name)])
            (found[name.stem],) = model.embed(
                inputs["pixel_values"], inputs["images_crop"], inputs["images_spatial_crop"]
            )
    np.savez(out, **{name: rows.numpy() for name, rows in found.items()})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
