"""Reading a job in a stack's image: what the container sees, and the job in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.facts import GIB
from dsk.images.local_images import image_for
from dsk.matrix import load_matrix
from dsk.ocr.run import launcher
from dsk.runtime.container import SHM_SIZE, container
from dsk.runtime.mounts import placed

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.images.local_images import LocalImage
    from dsk.matrix import Gpu, Stack
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan


def image(stack: Stack, wished: str | None) -> LocalImage:
    """The image of a stack for this machine's cards; see `dsk.images.local_images.image_for`."""
    return image_for(stack, _cards() if stack.device == "cuda" else (), wished)


def read(
    plan: RunPlan,
    stack: Stack,
    out: Path,
    listener: Listener,
    *,
    wished: str | None = None,
    shm_size: str | None = None,
) -> bool:
    """Run a job in the stack's image; whether every page came out whole.

    Args:
        out: the folder that all the documents' folders are below.
        wished: an image by name or digest; the newest that fits when not given.
        shm_size: the size of ``/dev/shm``, as docker takes it.

    Raises:
        EngineMissing: there is no such image here.
        UsageProblem: a folder cannot be shown to the container.
        DskError: what stopped the runner, of the kind it ended with.
    """
    assert plan.model is not None
    documents = [_inside(document, out) for document in plan.documents]
    passwords = {document.password_file for document in documents if document.password_file}
    place = container(
        stack,
        image(stack, wished),
        reads=[plan.model, *sorted(passwords), *(document.path for document in documents)],
        out=out,
        folders=[document.folder for document in documents],
        shm_size=shm_size or SHM_SIZE,
    )
    with place as runtime:
        inside = plan.model_copy(update={"documents": documents, "out": out.resolve()})
        return launcher.run(inside, runtime, out, listener)


def _inside(document: Document, out: Path) -> Document:
    """A document by the absolute paths that it has here and in the container."""
    secret = document.password_file
    paths = {
        "path": placed(document.path),
        "folder": out.resolve() / document.folder.relative_to(out),
        "password_file": secret and placed(secret),
    }
    return document.model_copy(update=paths)


def _cards() -> tuple[Gpu, ...]:
    """The cards that are here, by the profiles that images for them are built by."""
    from dsk.host.probes import nvidia

    matrix = load_matrix()
    found = (
        matrix.stand_in(card.name, card.compute_capability, round(card.memory_total / GIB))
        for card in nvidia.look().cards
    )
    return tuple(gpu for gpu in found if gpu)
