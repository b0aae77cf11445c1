"""Model records: a table of ``models.toml`` each. Errors quote the fields' descriptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from dsk.file_pins import FilePath, FilePin
from dsk.frozen import Frozen
from dsk.matrix.profiles import Positive, Text
from dsk.matrix.stack import Disagreement, ExactVersion

if TYPE_CHECKING:
    from collections.abc import Iterator

# The readings of a page by the engine; see `dsk.ocr.pipeline.retry_policy`.
RetryStep = Literal["asked", "guard", "resolution", "ungrounded", "halves"]

# The prompt of a run or a request that names none: every model has one of this name.
DEFAULT_PROMPT: Final = "markdown"

PositiveNumber = Annotated[float, Field(gt=0, strict=True)]

_GIB: Final = "a number of GiB above 0"
_NUMBER: Final = "a whole number above 0"
_PIXELS: Final = "a whole number of pixels above 0"
_BYTES: Final = {"bfloat16": 2}


class MemoryUse(Frozen):
    """GPU memory that an engine of the model uses, in GiB: measured, but for what is listed."""

    weights_gib: PositiveNumber = Field(description=_GIB)
    activations_gib: PositiveNumber = Field(description=_GIB)
    v1_peak_gib: PositiveNumber = Field(description=_GIB)
    computed: tuple[Literal["weights_gib", "activations_gib", "v1_peak_gib"], ...] = Field(
        default=(), description="a list of those of the other keys that are computed"
    )


class Language(Frozen):
    """The decoder's dimensions, as in the model's ``language_config``."""

    layers: Positive = Field(description=_NUMBER)
    hidden_size: Positive = Field(description=_NUMBER)
    attention_heads: Positive = Field(description=_NUMBER)
    kv_heads: Positive = Field(description=_NUMBER)
    head_dim: Positive = Field(description=_NUMBER)
    intermediate_size: Positive = Field(description=_NUMBER)
    moe_intermediate_size: Positive = Field(description=_NUMBER)
    dense_layers: Positive = Field(description=_NUMBER)
    routed_experts: Positive = Field(description=_NUMBER)
    shared_experts: Positive = Field(description=_NUMBER)
    experts_per_token: Positive = Field(description=_NUMBER)
    vocabulary: Positive = Field(description=_NUMBER)
    max_positions: Positive = Field(description=_NUMBER)
    v_head_dim: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0, description="a whole number of at least 0, which attention without MLA ignores"
    )
    rswa_window: Positive | None = Field(
        default=None,
        description="generated tokens that a generated token sees beside the prompt, above 0",
    )


class ClipDimensions(Frozen):
    """The size of a CLIP-L tower; the projector takes its features beside SAM's."""

    width: Positive = Field(description=_NUMBER)


class Qwen2Dimensions(Frozen):
    """The dimensions of a Qwen2 decoder that serves as an encoder of SAM's features.

    It has a learned query for each cell of a view or a tile, and the projector takes what it makes
    of the queries.
    """

    layers: Positive = Field(description=_NUMBER)
    hidden_size: Positive = Field(description=_NUMBER)
    attention_heads: Positive = Field(description=_NUMBER)
    kv_heads: Positive = Field(description=_NUMBER)
    intermediate_size: Positive = Field(description=_NUMBER)
    rope_theta: PositiveNumber = Field(description="a number above 0")
    rms_norm_eps: PositiveNumber = Field(description="a number above 0")


class Vision(Frozen):
    """The vision side's dimensions. Exactly one of ``clip`` and ``qwen2`` follows SAM."""

    tile_size: Positive = Field(description=_PIXELS)
    min_tiles: Positive = Field(description=_NUMBER)
    max_tiles: Positive = Field(description=_NUMBER)
    pixels_per_token: Positive = Field(description=_PIXELS)
    row_ends: bool = Field(
        strict=True, description="true where each row of cells ends with a token of its own"
    )
    downsample_channels: tuple[Positive, Positive] = Field(
        description="a list of two whole numbers above 0"
    )
    clip: ClipDimensions | None = Field(default=None, description="a table of CLIP's width")
    qwen2: Qwen2Dimensions | None = Field(
        default=None, description="a table of a Qwen2 encoder's dimensions"
    )

    @property
    def clip_width(self) -> int:
        """Features of a token that CLIP has; 0 where there is no CLIP."""
        return self.clip.width if self.clip else 0

    @property
    def features(self) -> int:
        """Features of a token that the projector takes: CLIP's and SAM's, or Qwen2's."""
        if self.qwen2:
            return self.qwen2.hidden_size
        return self.clip_width + self.downsample_channels[-1]


class ResolutionRecord(Frozen):
    """The sizes of one of a model's resolutions."""

    view: Positive = Field(description="the side of the whole page's picture in pixels, above 0")
    tiles: bool = Field(
        default=False, strict=True, description="true where a page is cut into tiles, too"
    )
    squash: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=0,
        description="the side in pixels of the square that a page is first resized to, or 0",
    )
    retry_as: Text = Field(description="the name of another resolution")


class GuardSize(Frozen):
    """The numbers of an n-gram guard: ``size`` tokens do not come twice within ``window``."""

    size: Positive = Field(description=_NUMBER)
    window: Positive = Field(description=_NUMBER)


class OfficialGuards(Frozen):
    """The guards of the published scripts that ``--compat official`` reproduces, by their input."""

    pdf: GuardSize = Field(description="a table of size and window")
    image: GuardSize = Field(description="a table of size and window")


class Guards(Frozen):
    """The n-gram guards of a model; without an official table it has no scripts to reproduce."""

    default: GuardSize = Field(description="a table of size and window")
    retry: GuardSize = Field(description="a table of size and window")
    official: OfficialGuards | None = Field(default=None, description="a table of pdf and image")


class Model(Frozen):
    """A model, pinned to a revision of the hub; an empty one is not known yet."""

    id: Text = Field(description="a name")
    name: Text = Field(description="the model's name")
    aliases: tuple[Annotated[str, Field(pattern=r"^[\w.-]+$")], ...] = Field(
        default=(), description="a list of other names, of letters, digits, dots and hyphens"
    )
    hub: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="a hub id, owner/name")
    revision: str = Field(
        default="",
        pattern=r"^([0-9a-f]{40})?$",
        description='a commit, 40 hex digits, or "" where it is not known',
    )
    architecture: Annotated[str, Field(pattern=r"^\w+$")] = Field(
        description="the class name in the config's architectures"
    )
    model_type: Text = Field(description="the config's model_type")
    native_vllm: ExactVersion = Field(
        description="the first vLLM release that reads with a class of its own, a version"
    )
    weights_bytes: Positive = Field(description="the tensors' size in bytes, above 0")
    dtype: Literal["bfloat16"] = Field(description="bfloat16")
    default_resolution: Text = Field(description="the name of a resolution")
    several_images: Text | None = Field(
        default=None, description="the name of the resolution of a request's several images"
    )
    retry_steps: tuple[RetryStep, ...] = Field(
        min_length=1, description="a list of asked, guard, resolution, ungrounded, halves"
    )
    ungrounded_prompt: Text | None = Field(default=None, description="the name of a prompt")
    image_token: Text = Field(description="one of the tokens")
    grounding_token: Text = Field(description="one of the tokens")
    label_tag: Text = Field(description="the name of a tag")
    box_tag: Text = Field(description="the name of a tag")
    kept_tokens: tuple[Text, ...] = Field(description="a list of tokens")
    memory: MemoryUse = Field(description="a table of an engine's GPU memory in GiB")
    language: Language = Field(description="a table of the decoder's dimensions")
    vision: Vision = Field(description="a table of the vision tower's dimensions")
    resolutions: dict[Text, ResolutionRecord] = Field(description="a table of resolutions")
    prompts: dict[Text, Text] = Field(min_length=1, description="a table of prompts by name")
    guards: Guards = Field(description="a table of default, retry and official")
    files: dict[FilePath, FilePin] = Field(
        min_length=1, description="a table of the revision's files, each with size and sha256"
    )
    tokens: dict[Text, Annotated[int, Field(ge=0, strict=True)]] = Field(
        description="a table of special tokens and their ids, whole numbers of at least 0"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for disagreement in _disagreements(self):
            raise disagreement
        return self

    @property
    def reference(self) -> str:
        """The pinned commit; where none is known, the hub's default branch."""
        return self.revision or "main"

    @property
    def kv_cache_bytes_per_token(self) -> int:
        """Bytes of the keys and values of every layer and head."""
        text = self.language
        # Twice: keys and values.
        return 2 * text.layers * text.kv_heads * text.head_dim * _BYTES[self.dtype]

    @property
    def spellings(self) -> set[str]:
        """Every normalized spelling of the model's names: id, hub id, name and aliases."""
        return {normalized_name(text) for text in (self.id, self.hub, self.name, *self.aliases)}


def normalized_name(name: str) -> str:
    """Return a model's name without case, spaces, hyphens and underscores."""
    # People write "deepseek-ocr2", "DeepSeek OCR 2" and "deepseek_ocr_2".
    return re.sub(r"[\s_-]+", "", name.casefold())


def _disagreements(model: Model) -> Iterator[Disagreement]:
    """Yield the keys of one table that do not agree with each other."""
    for key, name, known in _references(model):
        if name not in known:
            yield Disagreement(key, repr(name), f"one of {', '.join(known)}")
    for name, prompt in model.prompts.items():
        if prompt.count(model.image_token) != 1:
            allowed = f"a prompt with {model.image_token} once"
            yield Disagreement(f"prompts.{name}", repr(prompt), allowed)
    if "ungrounded" in model.retry_steps and model.ungrounded_prompt is None:
        yield Disagreement("ungrounded_prompt", "nothing", "the prompt of the step ungrounded")
    if (model.vision.clip is None) == (model.vision.qwen2 is None):
        found = "both" if model.vision.clip else "neither"
        yield Disagreement("vision", found, "one of the tables clip and qwen2")


def _references(model: Model) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each key that refers to another by name, the name, and the known names."""
    resolutions, tokens = tuple(model.resolutions), tuple(model.tokens)
    yield "default_resolution", model.default_resolution, resolutions
    if model.several_images is not None:
        yield "several_images", model.several_images, resolutions
    for name, resolution in model.resolutions.items():
        others = tuple(other for other in resolutions if other != name)
        yield f"resolutions.{name}.retry_as", resolution.retry_as, others
    yield "prompts", DEFAULT_PROMPT, tuple(model.prompts)
    if model.ungrounded_prompt is not None:
        yield "ungrounded_prompt", model.ungrounded_prompt, tuple(model.prompts)
    yield "image_token", model.image_token, tokens
    yield "grounding_token", model.grounding_token, tokens
    for token in model.kept_tokens:
        yield "kept_tokens", token, tokens
