"""Request processing for the V0 model: images to views and tiles, placeholders in the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import BatchFeature
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import ImageProcessorItems, MultiModalDataParser
from vllm.multimodal.processing import (
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    PromptReplacement,
)
from vllm.multimodal.profiling import BaseDummyInputsBuilder

from dsk.models.base import Views
from dsk.vllm_plugin.pages import (
    check_placeholders,
    check_views,
    count_tokens,
    engine_mode,
    largest_page,
    mode_of_images,
    profile_of,
)
from dsk.vllm_plugin.towers.tower import tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.models.base import ModelProfile, Resolution


class OcrInfo(BaseProcessingInfo):
    """Facts about the model's inputs that vLLM asks for."""

    @property
    def profile(self) -> ModelProfile:
        """Profile of the model."""
        return profile_of(self.ctx.model_config.hf_config)

    @property
    def mode(self) -> Resolution:
        """Mode of the engine."""
        config = self.ctx.model_config
        return engine_mode(config.mm_processor_kwargs, config.hf_config)

    @property
    def image_token_id(self) -> int:
        """Token id of the image placeholder."""
        return self.get_tokenizer().get_vocab()[self.profile.record.image_token]

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Return None for images, no limit: vLLM's ``limit_mm_per_prompt`` sets one."""
        return {"image": None}


class OcrDummyInputs(BaseDummyInputsBuilder[OcrInfo]):
    """Dummy requests of the worst case, so that vLLM profiles the memory that pages really take."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Return one placeholder for each image."""
        return self.info.profile.record.image_token * mm_counts.get("image", 0)

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int]) -> dict[str, Any]:  # noqa: ARG002
        """Return images with the mode's most tokens."""
        # DeepSeek-OCR's has 933 tokens, DeepSeek-OCR-2's 1121; the published code profiles with 693
        # and 833.
        return {"image": [largest_page(self.info.mode)] * mm_counts.get("image", 0)}


class OcrDataParser(MultiModalDataParser):
    """Parser of PIL images and ready `Views`; it refuses anything it would have to guess about."""

    def _parse_image_data(self, data: object) -> ImageProcessorItems | None:
        items = list(data) if isinstance(data, (list, tuple)) else [data]
        if data is None or not items:
            return None
        for item in items:
            if not isinstance(item, (Image.Image, Views)):
                message = f"an image is a {type(item).__name__}: give PIL images or dsk's Views"
                raise ValueError(message)
        return ImageProcessorItems(items)


class OcrProcessor(BaseMultiModalProcessor[OcrInfo]):
    """Prompt and images to token ids and uint8 tensors."""

    def _get_data_parser(self) -> MultiModalDataParser:
        return OcrDataParser()

    def _cached_apply_hf_processor(
        self, prompt: str | list[int], mm_data_items: Any, hf_processor_mm_kwargs: Any
    ) -> Any:
        # Past the cache: vLLM 0.8's takes two images of equal bytes and different shapes for one,
        # and pages are not read twice.
        processed = self._apply_hf_processor_main(
            prompt=prompt,
            mm_items=mm_data_items,
            hf_processor_mm_kwargs=hf_processor_mm_kwargs,
            enable_hf_prompt_update=True,
        )
        places = processed[0].count(self.info.image_token_id)
        images = mm_data_items.get_count("image", strict=False)
        check_placeholders(self.info.profile, places, images)
        return processed

    def _call_hf_processor(
        self,
        prompt: str,
        mm_data: Mapping[str, Any],
        mm_kwargs: Mapping[str, object],
    ) -> BatchFeature:
        if mm_kwargs:
            message = f"{sorted(mm_kwargs)} is set for one request: set the mode for the engine"
            raise ValueError(message)
        profile, images = self.info.profile, mm_data.get("images", [])
        mode = mode_of_images(profile, self.info.mode, len(images))
        pages = [
            image if isinstance(image, Views) else profile.prepare(image, mode) for image in images
        ]
        for page in pages:
            check_views(profile, page)
        fields: dict[str, Any] = {"input_ids": torch.tensor([self._token_ids(prompt)])}
        if pages:
            fields["views"] = [tensor(page.view) for page in pages]
            fields["tiles"] = [tensor(page.tiles) for page in pages]
        return BatchFeature(fields)

    def _token_ids(self, prompt: str) -> list[int]:
        return self.info.get_tokenizer()(prompt).input_ids

    def _hf_processor_applies_updates(self, *_: object, **__: object) -> bool:
        # vLLM is to expand the placeholders, by `_get_prompt_updates`.
        return False

    def _get_mm_fields_config(
        self,
        hf_inputs: BatchFeature,  # noqa: ARG002
        hf_processor_mm_kwargs: Mapping[str, object],  # noqa: ARG002
    ) -> Mapping[str, MultiModalFieldConfig]:
        return {name: MultiModalFieldConfig.batched("image") for name in ("views", "tiles")}

    def _get_prompt_updates(
        self,
        mm_items: Any,  # noqa: ARG002
        hf_processor_mm_kwargs: Mapping[str, object],  # noqa: ARG002
        out_mm_kwargs: Any,
    ) -> Sequence[PromptReplacement]:
        token, profile = self.info.image_token_id, self.info.profile

        def placeholders(index: int) -> list[int]:
            item = out_mm_kwargs.get_item("image", index)
            return [token] * count_tokens(profile, item["views"].data, item["tiles"].data)

        return [PromptReplacement(modality="image", target=[token], replacement=placeholders)]
