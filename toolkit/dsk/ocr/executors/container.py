"""Carry out a run in the stack's image: the plan in the paths that the container sees."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.images.local_images import LocalImage
    from dsk.matrix import Matrix, Stack
    from dsk.ocr.executors.base import ExecutorOptions
    from dsk.ocr.schema.engine_config import Placement
    from dsk.ocr.schema.events import Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan

RUNTIMES: Final = {"container": "its image"}


class ContainerExecutor:
    """See `dsk.ocr.executors.base.Executor`."""

    def __init__(self, stack: Stack, matrix: Matrix, options: ExecutorOptions) -> None:
        self._stack = stack
        self._matrix = matrix
        self._options = options

    def require(self) -> None:
        """See `Executor.require`."""
        self._image()

    def execute(self, plan: RunPlan, listener: Listener) -> bool:
        """See `Executor.execute`; a folder that no container can see is a `UsageProblem`."""
        from dsk.files import umask
        from dsk.ocr.executors import runner_process
        from dsk.runtime.container import SHM_SIZE, container

        assert plan.engine.model is not None
        documents = [_inside(document, plan.out) for document in plan.documents]
        passwords = {document.password_file for document in documents if document.password_file}
        gpus = _requested(plan.placement)
        place = container(
            self._stack,
            self._image(),
            reads=[plan.engine.model, *sorted(passwords), *(one.path for one in documents)],
            out=plan.out,
            folders=[document.folder for document in documents],
            shm_size=self._options.shm_size or SHM_SIZE,
            gpus=gpus,
        )
        with place as runtime:
            # A container has a umask of its own.
            inside = plan.model_copy(
                update={
                    "documents": documents,
                    "out": plan.out.resolve(),
                    "umask": umask(),
                    "placement": _renumbered(plan.placement) if gpus else plan.placement,
                }
            )
            return runner_process.run(inside, runtime, listener, out=plan.out, stack=self._stack)

    def _image(self) -> LocalImage:
        """Return the stack's image on this machine."""
        from dsk.images.local_images import image_for
        from dsk.ocr.schema.plan_format import plan_format

        return image_for(self._stack, self._options.image, plan_format=plan_format())


def executor(
    runtime: str, stack: Stack | None, matrix: Matrix, options: ExecutorOptions
) -> ContainerExecutor:
    """Return the executor of containers.

    Raises:
        UsageProblem: servers are to read, which need no container.
    """
    if stack is None:
        what = f"servers do not read in a {runtime}"
        raise UsageProblem(what, do="leave --runtime out")
    return ContainerExecutor(stack, matrix, options)


def _requested(placement: Placement) -> list[str]:
    """Return the cards that the container gets, as docker names them; none for all of them."""
    if "microsoft" in platform.release().lower():
        # Docker under WSL knows no single GPU: in the container all are there, numbered as here.
        return []
    names = [card.uuid or card.device for card in placement.cards]
    return names if all(names) else []


def _renumbered(placement: Placement) -> Placement:
    """Return a placement by the numbers that the GPUs have in a container that has them alone."""
    numbers = sorted({card.number for card in placement.cards if card.number is not None})
    cards = tuple(
        # A MIG instance keeps its UUID; whole GPUs are counted anew, in PCI order as before.
        card.model_copy(update={"device": str(numbers.index(card.number))})
        if card.device.isdecimal() and card.number is not None
        else card
        for card in placement.cards
    )
    return placement.model_copy(update={"cards": cards})


def _inside(document: Document, out: Path) -> Document:
    """Return a document by the absolute paths that it has here and in the container."""
    from dsk.runtime.mounts import container_path

    # Relative paths mean another folder in the container, so every path becomes absolute.
    secret = document.password_file
    paths = {
        "path": container_path(document.path),
        "folder": out.resolve() / document.folder.relative_to(out),
        "password_file": secret and container_path(secret),
    }
    return document.model_copy(update=paths)
