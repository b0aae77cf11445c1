"""The vLLM releases that dsk knows, and what each of them gets: a new release is a row here.

Pure: no vLLM is imported, so that the launcher can decide for a stack that is not installed here.
Sources of the rows: the released wheels, read on 2026-11-30, and the evidence in
``compat/evidence`` for 0.8.5, 0.24.0 and 0.32.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a model takes of a page: uint8 arrays cut by us, or a whole picture that it cuts itself.
PageFormat = Literal["views", "png"]

# vLLM's own n-gram guard, for its own model.
NATIVE_GUARD: Final = "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor"
_GUARD: Final = "dsk.vllm_plugin.v1.guard:NgramGuardProcessor"
_SCHEDULER: Final = "dsk.vllm_plugin.v1.scheduler.GroupingScheduler"


@dataclass(frozen=True, kw_only=True)
class Support:
    """Support that dsk gives a vLLM release, decided once and used by everybody who needs it.

    Args:
        engine: the vLLM engine that this release starts.
        package: the package of ours that holds the model classes; None is vLLM's own model.
        page_format: what that model takes of a page.
        guard: the logits processor to name to the engine; None where the model attaches its own.
        scheduler: the scheduler class to name to the engine on a GPU; None is vLLM's own.
        environment: variables that dsk's own engines need before vLLM is imported. A plugin sets
            none: they would act on other models too.
        warning: one line for the user where this is not what dsk would like to run; else empty.
    """

    engine: Literal["V0", "V1"]
    package: str | None = None
    page_format: PageFormat
    guard: str | None
    scheduler: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A range of vLLM releases, from ``first`` up to but without ``end``."""

    first: str
    end: str
    support: Support


_NATIVE: Final = Support(engine="V1", page_format="png", guard=NATIVE_GUARD)

# From 0.31.0 on a GPU takes Model Runner V2, which refuses V1 logits processors, vLLM's own too.
_OLD_RUNNER: Final = MappingProxyType({"VLLM_USE_V2_MODEL_RUNNER": "0"})

# By version, lowest first.
RELEASES: Final = (
    Release(
        first="0.8",
        end="0.9",
        support=Support(engine="V0", package="dsk.vllm_plugin.v0", page_format="views", guard=None),
    ),
    # Up to 0.16 processors are called in another way; 0.17 and 0.18 lack vllm.inputs.mm_input.
    Release(first="0.11.1", end="0.19", support=_NATIVE),
    Release(
        first="0.19",
        end="0.31",
        support=Support(
            engine="V1",
            package="dsk.vllm_plugin.v1",
            page_format="views",
            guard=_GUARD,
            scheduler=_SCHEDULER,
        ),
    ),
    # Admission follows max_num_active_reqs from 0.31 on, where our scheduler lowers
    # max_num_running_reqs: an assertion fails (seen with 0.32.0).
    Release(
        first="0.31",
        end="0.34",
        support=Support(
            engine="V1",
            package="dsk.vllm_plugin.v1",
            page_format="views",
            guard=_GUARD,
            environment=_OLD_RUNNER,
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class KnownFault:
    """A fault of vLLM's own with this model, as `dsk doctor` tells it.

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


def faults_of(version: str, *, hopper: bool) -> list[str]:
    """Return what is known against a vLLM release with this model.

    Args:
        version: vLLM's own.
        hopper: whether it is to run on a Hopper GPU.
    """
    faults = []
    if support_for(version) is None:
        first = next(row.first for row in RELEASES if row.support.engine == "V1")
        oldest = RELEASES[0].first
        faults.append(f"it has no DeepSeek-OCR: {first} is the first that has, {oldest} gets dsk's")
    faults += [
        fault.text
        for fault in KNOWN_FAULTS
        if Version(version) in SpecifierSet(fault.releases, prereleases=True)
        and (hopper or not fault.hopper)
    ]
    return faults


def support_for(version: str, *, native: bool = False) -> Support | None:
    """Return what a vLLM release gets; None if it has no DeepSeek-OCR and takes no model of ours.

    A release that is newer than every row gets vLLM's own model, with a warning.

    Args:
        version: vLLM's own, such as ``0.24.0`` or ``0.8.5.post2``.
        native: whether vLLM's own model is wanted wherever it has one.
    """
    try:
        release = Version(version).release
    except InvalidVersion:
        return _unknown(version)
    for row in RELEASES:
        if Version(row.first).release <= release < Version(row.end).release:
            return _native(row.support) if native else row.support
    # A build from source without tags calls itself 0.1.dev1: it may be of any release.
    untagged = Version(version).is_devrelease and release < Version(RELEASES[0].first).release
    newer = release >= Version(RELEASES[-1].end).release
    return _unknown(version) if newer or untagged else None


def unsupported(version: str, model: str) -> str:
    """Return the sentence for a release that `support_for` has nothing for."""
    known = ", ".join(f"{row.first} up to {row.end}" for row in RELEASES)
    return f"vLLM {version} has no {model}, and dsk has no model for it (it has for {known})"


def _native(support: Support) -> Support:
    if support.engine == "V0":
        return support  # 0.8 has no model of its own
    return Support(
        engine="V1", page_format="png", guard=NATIVE_GUARD, environment=support.environment
    )


def _unknown(version: str) -> Support:
    newest = RELEASES[-1].end
    return Support(
        engine="V1",
        page_format="png",
        guard=NATIVE_GUARD,
        environment=_OLD_RUNNER,
        warning=f"dsk does not know vLLM {version} (it knows releases below {newest}): "
        "vLLM's own DeepSeek-OCR is used",
    )
