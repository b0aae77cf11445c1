"""Request processing for the V1 model: pages as uint8 views and tiles, placeholders in the prompt.

vLLM's own processor converts an A4 page to 42 MB of float32 in the process that feeds the engine.
This one hands on the uint8 that it is given, 10.5 MB at most; the towers' device normalises it.
Written for vLLM 0.24.0 and 0.32.0, which have the same `BaseMultiModalProcessor.apply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import BatchFeature
from vllm.inputs import mm_input
from vllm.multimodal.inputs import (
    MultiModalFieldConfig,
    MultiModalKwargsItems,
    PlaceholderRange,
)
from vllm.multimodal.parse import ImageProcessorItems, MultiModalDataParser
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
)

from dsk.models.base import Views
from dsk.vllm_plugin.pages import (
    cache_keys,
    check_views,
    count_tokens,
    engine_mode,
    expand_placeholders,
    largest_page,
    mode_of_images,
    profile_of,
    requested_mode,
)
from dsk.vllm_plugin.towers.tower import tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.models.base import ModelProfile, Resolution


class ViewsInfo(BaseProcessingInfo):
    """Facts about the model's inputs that vLLM asks for."""

    @property
    def profile(self) -> ModelProfile:
        """Profile of the model."""
        return profile_of(self.ctx.model_config.hf_config)

    @property
    def mode(self) -> Resolution:
        """Mode of PIL images whose request names none."""
        config = self.ctx.model_config
        return engine_mode(config.multimodal_config.mm_processor_kwargs, config.hf_config)

    @property
    def image_token_id(self) -> int:
        """Token id of the image placeholder."""
        return self.get_tokenizer().get_vocab()[self.profile.record.image_token]

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Return None for images, no limit: vLLM's ``limit_mm_per_prompt`` sets one."""
        return {"image": None}

    def get_data_parser(self) -> MultiModalDataParser:
        """Return the parser of requests' images."""
        return ViewsParser(self.profile)


class ViewsParser(MultiModalDataParser):
    """Parser of PIL images and ready `Views`; it refuses anything it would have to guess about."""

    def __init__(self, profile: ModelProfile) -> None:
        super().__init__()
        self._profile = profile

    def _parse_image_data(self, data: object) -> ImageProcessorItems | None:
        given = list(data) if isinstance(data, (list, tuple)) else [data]
        if data is None or not given:
            return None
        items = ImageProcessorItems(given)
        for item in items.get_all():
            if isinstance(item, Views):
                check_views(self._profile, item)
            elif not isinstance(item, Image.Image):
                message = f"an image is a {type(item).__name__}: give PIL images or dsk's Views"
                raise ValueError(message)
        return items


class ViewsDummyInputs(BaseDummyInputsBuilder[ViewsInfo]):
    """Dummy requests of the worst mode, for vLLM to profile memory with: a request may name any."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Return one placeholder for each image."""
        return self.info.profile.record.image_token * mm_counts.get("image", 0)

    def get_dummy_mm_data(
        self, seq_len: int, mm_counts: Mapping[str, int], mm_options: object
    ) -> dict[str, Any]:
        """Return pages with the most tokens of all modes."""
        # DeepSeek-OCR's has 933 tokens, DeepSeek-OCR-2's 1121; vLLM's own have 693 and 833.
        del seq_len, mm_options
        worst = largest_page(self.info.profile.largest_resolution)
        return {"image": [worst] * mm_counts.get("image", 0)}


class ViewsProcessor(BaseMultiModalProcessor[ViewsInfo]):
    """Prompt and pages to token ids and uint8 tensors."""

    def apply(self, inputs: Any, timing_ctx: Any) -> Any:
        """Convert a request to the engine's input.

        Its ``mm_processor_kwargs`` may name the mode of its PIL images; that of `Views` is in their
        shapes.

        Raises:
            ValueError: the request cannot be served.
        """
        del timing_ctx
        profile, pages = self.info.profile, self._pages(inputs)
        image = self.info.image_token_id
        counts = [count_tokens(profile, page.view, page.tiles) for page in pages]
        prompt = self._token_ids(inputs.prompt)
        tokens, places = expand_placeholders(profile, prompt, image, counts)
        ranges = [PlaceholderRange(offset=offset, length=length) for offset, length in places]
        fields = page_fields(pages, profile.tile)
        config = self._get_mm_fields_config(fields, {})
        own = (inputs.mm_uuid_items or {}).get("image")
        return mm_input(
            prompt_token_ids=tokens,
            mm_kwargs=MultiModalKwargsItems.from_hf_inputs(fields, config),
            mm_hashes={"image": list(cache_keys(pages, own))} if pages else {},
            mm_placeholders={"image": ranges} if pages else {},
        )

    def _token_ids(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            return self.info.get_tokenizer().encode(prompt)
        return list(prompt)

    def _pages(self, inputs: Any) -> list[Views]:
        if "image" not in inputs.mm_data_items:
            return []
        profile, images = self.info.profile, inputs.mm_data_items["image"].get_all()
        requested = requested_mode(profile, inputs.hf_processor_mm_kwargs)
        mode = requested or mode_of_images(profile, self.info.mode, len(images))
        return [
            image if isinstance(image, Views) else profile.prepare(image, mode) for image in images
        ]

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        del hf_processor_mm_kwargs
        grids = hf_inputs.get("grids", torch.empty((0, 2), dtype=torch.long))
        return {
            "views": MultiModalFieldConfig.batched("image"),
            "tiles": MultiModalFieldConfig.flat_from_sizes("image", grids.prod(-1)),
            "grids": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        }

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[Any]:
        """Return no updates: `apply` has expanded the placeholders."""
        del mm_items, hf_processor_mm_kwargs, out_mm_kwargs
        return []


def page_fields(pages: list[Views], side: int) -> BatchFeature:
    """Return views (S, S, 3) one by one, all tiles (M, side, side, 3), grids (N, 2) rows first."""
    if not pages:
        return BatchFeature({})
    tiles = [tensor(page.tiles).reshape(-1, side, side, 3) for page in pages]
    return BatchFeature(
        {
            "views": [tensor(page.view) for page in pages],
            # `cat` would copy the 7 MB of a single page.
            "tiles": tiles[0] if len(tiles) == 1 else torch.cat(tiles),
            "grids": torch.tensor([page.tiles.shape[:2] for page in pages]),
        }
    )
