"""The family's models for vLLM's V1 engine: our vision tower on vLLM's own DeepSeek decoder.

The module has a class named after each model's architecture. It replaces vLLM's own class of that
name, which encodes page by page, waits for the device in between, takes four times the bytes a page
in float32, and has Gundam mode only. Written for the interfaces of vLLM 0.24.0 and 0.32.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from torch import Tensor, nn
from vllm.model_executor.models.interfaces import SupportsLoRA, SupportsMultiModal, SupportsPP
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import (
    AutoWeightsLoader,
    WeightsMapper,
    init_vllm_registered_model,
    maybe_prefix,
)
from vllm.multimodal import MULTIMODAL_REGISTRY

from dsk import models
from dsk.vllm_plugin.pages import profile_of
from dsk.vllm_plugin.towers.sam import PATCH, TRAINED_GRID
from dsk.vllm_plugin.towers.tower import VisionTower
from dsk.vllm_plugin.v1.processing import ViewsDummyInputs, ViewsInfo, ViewsProcessor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from vllm.config import VllmConfig

    from dsk.models.base import ModelProfile

# The most 16 px patches in one pass of the towers: 8 views of 1024 px, or 20 tiles of 640, keep a
# GPU busy for longer than the CPU takes to launch the kernels; more would only take more memory.
# A patch takes as much in a view as in a tile, so the profile run, whose passes are full of tiles,
# holds for any other. Counted with meta tensors in bfloat16: in SAM 19.2 kB a patch, 20.3 kB in
# tiles of 768 px; behind it, 3.0 kB in CLIP and 5.4 kB in Qwen2.
PASS_PATCHES: Final = 8 * TRAINED_GRID**2


@MULTIMODAL_REGISTRY.register_processor(
    ViewsProcessor, info=ViewsInfo, dummy_inputs=ViewsDummyInputs
)
class OcrModelV1(nn.Module, SupportsMultiModal, SupportsPP, SupportsLoRA):
    """Model of the family; vLLM builds a subclass that is named after an architecture."""

    hf_to_vllm_mapper: ClassVar[WeightsMapper] = WeightsMapper(
        orig_to_new_prefix={
            "model.embed_tokens.": "language_model.model.embed_tokens.",
            "model.layers.": "language_model.model.layers.",
            "model.norm.": "language_model.model.norm.",
            "lm_head.": "language_model.lm_head.",
            "model.": "tower.",
        },
        # A buffer of the published model that ours computes.
        orig_to_new_substr={"vision_model.embeddings.position_ids": None},
    )

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """Return the placeholder of an image in a chat's text."""
        del i
        profile = models.for_architecture(cls.__name__)
        return profile.record.image_token if modality.startswith("image") else None

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config
        text = config.hf_config.text_config
        self.config = config.hf_config
        self.dtype = config.dtype
        profile = profile_of(config.hf_config)
        with self._mark_tower_model(vllm_config, "image"):
            self.tower = VisionTower(
                profile, text.hidden_size, patches_per_pass(vllm_config, profile)
            )
        with self._mark_language_model(vllm_config):
            self.language_model = init_vllm_registered_model(
                vllm_config=vllm_config,
                hf_config=text,
                prefix=maybe_prefix(prefix, "language_model"),
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors

    def embed_multimodal(
        self, *, views: Any = None, tiles: Any = None, grids: Any = None, **_unused: object
    ) -> list[Tensor]:
        """Return (tokens, width) for each image of the step, in the prompts' order.

        Args:
            views: (N, S, S, 3) uint8, or a list of them without N where sizes differ.
            tiles: (M, T, T, 3) uint8, those of all images.
            grids: (N, 2) on the CPU, rows and columns of tiles of each image.
            _unused: ignored; part of vLLM's interface.
        """
        if views is None:
            return []
        embeddings = self.tower(list(views), list(split_tiles(tiles, grids.tolist())))
        return [rows.to(self.dtype) for rows in embeddings]

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: Tensor | None = None,
        **_unused: object,
    ) -> Any:
        """Compute the hidden states of a step."""
        if intermediate_tensors is not None:
            inputs_embeds = None
        return self.language_model(
            input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds
        )

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """Compute the logits of a step."""
        return self.language_model.compute_logits(hidden_states)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint with the published names."""
        return AutoWeightsLoader(self).load_weights(weights, mapper=self.hf_to_vllm_mapper)

    def get_mm_mapping(self) -> MultiModelKeys:
        """Return the prefixes of the model's parts, for LoRA."""
        parts = (name for name, _ in self.tower.named_children() if name != "projector")
        return MultiModelKeys.from_string_field(
            language_model="language_model",
            connector="tower.projector",
            tower_model=[f"tower.{name}" for name in parts],
        )


# vLLM imports a model by the name of its class, and knows it by that name afterwards.
for _profile in models.profiles().values():
    _name = _profile.record.architecture
    globals()[_name] = type(_name, (OcrModelV1,), {"__module__": __name__})


def patches_per_pass(vllm_config: VllmConfig, profile: ModelProfile) -> int:
    """Return the most 16 px patches in one pass: no more than vLLM's profile run has at once."""
    # The profile run encodes as many of the largest pages as a step may hold. A step of smaller
    # pages has more patches for its tokens, and is encoded in several passes.
    scheduler, mode = vllm_config.scheduler_config, profile.largest_resolution
    pages = min(scheduler.max_num_seqs, scheduler.max_num_batched_tokens // mode.max_tokens)
    largest_cut = max(mode.view**2, mode.max_tiles * mode.tile**2)
    return min(PASS_PATCHES, max(1, pages) * largest_cut // PATCH**2)


def split_tiles(tiles: Tensor, grids: list[list[int]]) -> Iterator[Tensor]:
    """Yield (rows, columns, T, T, 3) for each image, from the tiles of all images."""
    start = 0
    for rows, columns in grids:
        own = tiles[start : start + rows * columns]
        yield own.view(rows, columns, *own.shape[1:])
        start += rows * columns
