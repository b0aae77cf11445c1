"""Facts of a node that a run depends on: versions, the model, documents that are in sight."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pydantic import Field

from dsk import __version__
from dsk.frozen import Frozen
from dsk.ocr.results import manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.ocr.schema.run_plan import Document, RunPlan


class NodeFacts(Frozen):
    """Facts of a node, or of the driver to compare them with."""

    dsk: str
    python: str
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of all installed packages, by their canonical names."""
    weights: str = ""
    """Hash of the model's weights, as `ModelIdentity` has it; empty if the model is not there."""
    unseen: tuple[str, ...] = ()
    """Paths of documents that cannot be opened."""
    gpus: tuple[str, ...] = ()
    """Numbers of the GPUs that Ray has given to the process."""


def gather(plan: RunPlan, gpus: Sequence[str] = ()) -> NodeFacts:
    """Return the facts of the machine that this process runs on.

    Args:
        plan: the plan of the run, with some of its documents.
        gpus: those that Ray has given to this process.
    """
    return NodeFacts(
        dsk=__version__,
        python=platform.python_version(),
        packages={canonicalize_name(each.name): each.version for each in metadata.distributions()},
        weights=_weights(plan),
        unseen=tuple(str(each.path) for each in plan.documents if not _is_seen(each)),
        gpus=tuple(gpus),
    )


def _weights(plan: RunPlan) -> str:
    if plan.engine.model is None:
        return ""
    try:
        return manifest.weights_hash(plan.engine.model)
    except OSError:
        return ""


def _is_seen(document: Document) -> bool:
    return os.access(document.path, os.R_OK)
