"""The vLLM releases that dsk knows, and what each of them gets: a new release is a row here.

Pure: no vLLM is imported, so that the launcher can decide for a stack that is not installed here.
Sources of the rows: the released wheels, read on 2026-11-30, and the evidence in
``compat/evidence`` for 0.8.5, 0.24.0, 0.30.0 and 0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.matrix import Model

# What a model takes of a page: uint8 arrays cut by us, or a whole picture that it cuts itself.
PageFormat = Literal["views", "png"]
Device = Literal["cuda", "cpu"]

# vLLM's own n-gram guard, for its own models.
NATIVE_GUARD: Final = "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor"
# The parameters of vLLM's BaseMultiModalProcessor.apply that our own processor is written for.
PROCESSOR_CALL: Final = ("self", "inputs", "timing_ctx")
_GUARD: Final = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
_SCHEDULER: Final = "dsk.vllm_plugin.v1.scheduler.GroupingScheduler"

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Support:
    """Support that dsk gives a model in a vLLM release, decided once and used everywhere.

    Args:
        engine: the vLLM engine that this release starts.
        package: the package of ours that holds the model class; None is vLLM's own model.
        page_format: what that model takes of a page.
        guard: the logits processor to name to the engine; None where the model attaches its own.
        scheduler: the scheduler class to name to the engine on a GPU; None is vLLM's own.
        environment: variables that dsk's own engines need before vLLM is imported. A plugin sets
            none: they would act on other models too.
        settings: arguments of the engine that the model needs, in place of the stack's.
        warning: one line for the user where this is not what dsk would like to run; else empty.
    """

    engine: Literal["V0", "V1"]
    package: str | None = None
    page_format: PageFormat
    guard: str | None
    scheduler: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A range of vLLM releases, from ``first`` up to but without ``end``.

    Args:
        first: the first release of the range.
        end: the first release after it.
        support: what models get that this range supports.
        rswa: devices on which a decoder with a window over its generated tokens (R-SWA) is right.
    """

    first: str
    end: str
    support: Support
    rswa: tuple[Device, ...] = ()


_NATIVE: Final = Support(engine="V1", page_format="png", guard=NATIVE_GUARD)
_OURS: Final = Support(engine="V1", package="dsk.vllm_plugin.v1", page_format="views", guard=_GUARD)

# From 0.31.0 on a GPU takes Model Runner V2, which refuses vLLM's own guard. Ours runs on either,
# and reads as well, but no faster: on an H200 V2 read 35.6 pages a second in the middle of a run,
# the old runner 48.2 (compat/evidence/runner-v2-nvidia-h200-2026-11-30.json).
_OLD_RUNNER: Final = MappingProxyType({"VLLM_USE_V2_MODEL_RUNNER": "0"})

# Triton's kernel masks R-SWA on every GPU that the model runs on (sm_80 and later). FLASH_ATTN, a
# stack's usual setting, is refused by vLLM for such a model wherever FlashAttention 4 is missing,
# and FlashInfer everywhere (UnlimitedOCRForCausalLMConfig, 0.25.1 to 0.33.0).
_RSWA_ON_GPU: Final = MappingProxyType({"attention_backend": "TRITON_ATTN"})

# By version, lowest first.
RELEASES: Final = (
    Release(
        first="0.8",
        end="0.9",
        support=Support(engine="V0", package="dsk.vllm_plugin.v0", page_format="views", guard=None),
    ),
    # Up to 0.16 processors are called in another way; 0.17 and 0.18 lack vllm.inputs.mm_input.
    Release(first="0.11.1", end="0.19", support=_NATIVE),
    Release(first="0.19", end="0.25", support=replace(_OURS, scheduler=_SCHEDULER)),
    # R-SWA came with 0.25: Triton, FlashAttention 4 and FlexAttention have it. The CPU's attention
    # ignores it without a word up to 0.33.0.
    Release(
        first="0.25",
        end="0.31",
        support=replace(_OURS, scheduler=_SCHEDULER),
        rswa=("cuda",),
    ),
    # R-SWA on a CPU is `dsk.vllm_plugin.v1.rswa_cpu`.
    Release(
        first="0.31",
        end="0.34",
        support=replace(_OURS, scheduler=_SCHEDULER, environment=_OLD_RUNNER),
        rswa=("cuda", "cpu"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class KnownFault:
    """A fault of vLLM's own with these models, as `dsk doctor` reports it.

    Args:
        releases: the releases that have it, as a version specifier.
        hopper: True if it shows on a Hopper GPU only.
        text: the fault, as the end of a sentence.
    """

    releases: str
    hopper: bool = False
    text: str


# What was run and failed, each with the releases between which it was seen.
KNOWN_FAULTS: Final = (
    # Seen with 0.11.2, 0.12.0 and 0.24.0; 0.25.1 gives 128.
    KnownFault(
        releases=">=0.11.1,<0.25.1",
        hopper=True,
        text="on an H100 or H200 it dies in FlashAttention 3: it takes the head size for 0",
    ),
    KnownFault(
        releases="==0.17.*",
        text="it fails on images of 640 px and less (images_crop); 0.18.0 does not",
    ),
)

# The last minor release that has the V0 engine.
LAST_WITH_V0: Final = "0.10"


def has_v0(version: str) -> bool:
    """Return True if a vLLM release has the V0 engine."""
    return Version(version).release[:2] <= Version(LAST_WITH_V0).release


def faults_of(version: str, model: Model, *, hopper: bool) -> list[str]:
    """Return what is known against a vLLM release with a model.

    Args:
        version: vLLM's own.
        model: the model.
        hopper: whether it is to run on a Hopper GPU.
    """
    faults = []
    if support_for(version, model, device="cuda") is None:
        faults.append(f"it has no {model.name}, which needs {needed_releases(model, 'cuda')}")
    faults += [
        fault.text
        for fault in KNOWN_FAULTS
        if Version(version) in SpecifierSet(fault.releases, prereleases=True)
        and (hopper or not fault.hopper)
    ]
    return faults


def support_for(
    version: str, model: Model, *, device: Device, native: bool = False
) -> Support | None:
    """Return what a model gets in a vLLM release; None if it cannot be read right there.

    A release that is newer than every row gets vLLM's own model, with a warning.

    Args:
        version: vLLM's own, such as ``0.24.0`` or ``0.8.5.post2``.
        model: the model.
        device: the kind of device that vLLM runs on.
        native: whether vLLM's own model is wanted wherever it has one.
    """
    try:
        release = Version(version).release
    except InvalidVersion:
        return _unknown(version, model, device)
    for row in RELEASES:
        if Version(row.first).release <= release < Version(row.end).release:
            if not _reads(row, release, model, device):
                return None
            support = _native(row.support) if native else row.support
            return _with_attention(support, model, device)
    # A build from source without tags calls itself 0.1.dev1: it may be of any release.
    untagged = Version(version).is_devrelease and release < Version(RELEASES[0].first).release
    newer = release >= Version(RELEASES[-1].end).release
    return _unknown(version, model, device) if newer or untagged else None


def needed_releases(model: Model, device: Device) -> str:
    """Return the releases that read a model, in words: ``vLLM 0.8.x or 0.16.0 or later``."""
    native = Version(model.native_vllm)
    ranges: list[list[str]] = []
    for row in RELEASES:
        # Of equal ones the model's own, which has all three parts: `_reads` compares them.
        first = max(native, Version(row.first)) if row.support.engine == "V1" else None
        release = (first or Version(row.first)).release
        if release >= Version(row.end).release or not _reads(row, release, model, device):
            continue
        start = f"{row.first}.x" if first is None else str(first)
        if ranges and ranges[-1][1] == row.first:
            ranges[-1][1] = row.end
        else:
            ranges.append([start, row.end])
    newest = RELEASES[-1].end
    words = [f"{start} or later" if end == newest else start for start, end in ranges]
    return f"vLLM {' or '.join(words)}" if words else "a GPU"


def _reads(row: Release, release: tuple[int, ...], model: Model, device: Device) -> bool:
    """Return True if a release of this row reads a model right on this kind of device."""
    # Our V1 class takes configuration and decoder of vLLM's, which come with its own class; the V0
    # class brings everything but the decoder.
    known = row.support.engine == "V0" or release >= Version(model.native_vllm).release
    return known and (model.language.rswa_window is None or device in row.rswa)


def _native(support: Support) -> Support:
    if support.engine == "V0":
        return support  # 0.8 has no model of its own
    return replace(_NATIVE, environment=support.environment)


def _with_attention(support: Support, model: Model, device: Device) -> Support:
    if model.language.rswa_window is None or device == "cpu":
        return support
    return replace(support, settings=_RSWA_ON_GPU)


def _unknown(version: str, model: Model, device: Device) -> Support | None:
    newest = RELEASES[-1]
    # Our attention on a CPU is written for the releases of the table.
    if model.language.rswa_window is not None and device == "cpu":
        return None
    support = replace(
        _NATIVE,
        environment=_OLD_RUNNER,
        warning=f"dsk does not know vLLM {version} (it knows releases below {newest.end}): "
        f"vLLM's own {model.name} is used",
    )
    return _with_attention(support, model, device)
