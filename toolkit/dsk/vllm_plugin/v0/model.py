"""The family's models for vLLM 0.8's V0 engine: our vision tower on vLLM's own DeepSeek decoder.

The module has a class named after each model's architecture.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final

from torch import Tensor, nn
from vllm.model_executor.models.interfaces import SupportsMultiModal, SupportsPP
from vllm.model_executor.models.utils import (
    AutoWeightsLoader,
    WeightsMapper,
    init_vllm_registered_model,
    maybe_prefix,
    merge_multimodal_embeddings,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.platforms import current_platform
from vllm.transformers_utils.tokenizer import cached_tokenizer_from_config

from dsk import models
from dsk.vllm_plugin.guard import requests
from dsk.vllm_plugin.pages import engine_mode, profile_of
from dsk.vllm_plugin.towers.sam import PATCH
from dsk.vllm_plugin.towers.tower import VisionTower
from dsk.vllm_plugin.v0 import mla, moe
from dsk.vllm_plugin.v0.processing import OcrDummyInputs, OcrInfo, OcrProcessor

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from vllm.config import VllmConfig

    from dsk.models.base import Resolution

# A buffer of the published model, which ours computes.
UNUSED_BUFFER: Final = "tower.vision_model.embeddings.position_ids"


@MULTIMODAL_REGISTRY.register_processor(OcrProcessor, info=OcrInfo, dummy_inputs=OcrDummyInputs)
class OcrModelV0(nn.Module, SupportsMultiModal, SupportsPP):
    """Model of the family; vLLM builds a subclass that is named after an architecture."""

    hf_to_vllm_mapper: ClassVar[WeightsMapper] = WeightsMapper(
        orig_to_new_prefix={
            "model.embed_tokens.": "language_model.model.embed_tokens.",
            "model.layers.": "language_model.model.layers.",
            "model.norm.": "language_model.model.norm.",
            "lm_head.": "language_model.lm_head.",
            "model.": "tower.",
        }
    )

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        moe.replace_missing_kernels()
        config = vllm_config.model_config
        text = config.hf_config.text_config
        profile = profile_of(config.hf_config)
        token = profile.record.image_token
        self.image_token_id = cached_tokenizer_from_config(config).get_vocab()[token]
        mode = engine_mode(config.mm_processor_kwargs, config.hf_config)
        self.tower = VisionTower(profile, text.hidden_size, patches_per_pass(vllm_config, mode))
        if current_platform.is_cpu():
            # Measured with torch 2.6 on a CPU without AVX-512: a bfloat16 layer takes 7 times as
            # long as a float32 one.
            self.tower.float()
        self.dtype = config.dtype
        self.language_model = init_vllm_registered_model(
            vllm_config=vllm_config,
            hf_config=text,
            prefix=maybe_prefix(prefix, "language_model"),
            architectures=["DeepseekV2ForCausalLM" if text.use_mla else "DeepseekForCausalLM"],
        )
        mla.fix_on_cpu(self.language_model)
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors
        self.guard_default = requests.default_settings()

    def get_language_model(self) -> nn.Module:
        """Return the decoder."""
        return self.language_model

    def get_multimodal_embeddings(
        self, *, views: Any = None, tiles: Any = None, **_unused: object
    ) -> list[Tensor] | None:
        """Return (tokens, width) for each image of the step, in the prompts' order."""
        if views is None:
            return None
        embeddings = self.tower(images_of(views, 3), images_of(tiles, 5))
        return [rows.to(self.dtype) for rows in embeddings]

    def get_input_embeddings(
        self, input_ids: Tensor, multimodal_embeddings: list[Tensor] | None = None
    ) -> Tensor:
        """Return token embeddings, with those of images in their places."""
        embeddings = self.language_model.get_input_embeddings(input_ids)
        if not multimodal_embeddings:
            return embeddings
        return merge_multimodal_embeddings(
            input_ids, embeddings, multimodal_embeddings, self.image_token_id
        )

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: Tensor | None = None,
        **images: object,
    ) -> Any:
        """Compute the hidden states of a step.

        Args:
            input_ids: token ids; None if embeddings are given.
            positions: positions of the tokens in their sequences.
            intermediate_tensors: hidden states of the stage before, with pipeline parallelism.
            inputs_embeds: embeddings in place of token ids.
            images: views and tiles of the images whose prompts begin in this step.
        """
        if intermediate_tensors is not None:
            inputs_embeds = None
        elif inputs_embeds is None and images:
            embeddings = self.get_multimodal_embeddings(**images)
            inputs_embeds = self.get_input_embeddings(input_ids, embeddings)
            input_ids = None
        return self.language_model(
            input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds
        )

    def compute_logits(self, hidden_states: Tensor, sampling_metadata: Any) -> Tensor | None:
        """Compute the logits of a step."""
        # Here and not in the engine: V0 applies the logits processors that requests carry, and this
        # is the only code of ours that sees a step's requests before that.
        requests.attach(sampling_metadata, self.guard_default)
        logits = self.language_model.compute_logits(hidden_states, sampling_metadata)
        if logits is not None:
            # vLLM computes a preempted answer again as a part of its prompt: an image token in it
            # would be a place without an image, at which the engine ends.
            logits[:, self.image_token_id] = -math.inf
        return logits

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint with the published names."""
        loader = AutoWeightsLoader(self, skip_prefixes=[UNUSED_BUFFER])
        return loader.load_weights(weights, mapper=self.hf_to_vllm_mapper)


# vLLM imports a model by the name of its class, and knows it by that name afterwards.
for _profile in models.profiles().values():
    _name = _profile.record.architecture
    globals()[_name] = type(_name, (OcrModelV0,), {"__module__": __name__})


def patches_per_pass(vllm_config: VllmConfig, mode: Resolution) -> int:
    """Return the number of 16 px patches in the largest pass of vLLM's profile run."""
    # A step of many small images has more patches for its tokens than the profiled one of full
    # pages: in one pass it could need more memory than vLLM has left.
    scheduler = vllm_config.scheduler_config
    limit = vllm_config.model_config.multimodal_config.get_limit_per_prompt("image")
    prompts = scheduler.max_num_batched_tokens // (mode.max_tokens * max(1, limit))
    images = max(1, min(scheduler.max_num_seqs, prompts)) * max(1, limit)
    largest_cut = max(mode.view**2, mode.max_tiles * mode.tile**2)
    return images * largest_cut // PATCH**2


def images_of(batch: Any, dimensions: int) -> list[Tensor]:
    """Flatten vLLM's nested batch to one tensor for each image."""
    # vLLM stacks tensors whose shapes agree, at any level, and leaves lists where they do not.
    if isinstance(batch, Tensor) and batch.ndim == dimensions:
        return [batch]
    return [image for part in batch for image in images_of(part, dimensions)]
