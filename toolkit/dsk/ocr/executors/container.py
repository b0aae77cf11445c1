"""Carry out a run in the stack's image: the plan in the paths that the container sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.images.local_images import LocalImage
    from dsk.matrix import Matrix, Stack
    from dsk.ocr.executors.base import ExecutorOptions
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
        place = container(
            self._stack,
            self._image(),
            reads=[plan.engine.model, *sorted(passwords), *(one.path for one in documents)],
            out=plan.out,
            folders=[document.folder for document in documents],
            shm_size=self._options.shm_size or SHM_SIZE,
        )
        with place as runtime:
            # A container has a umask of its own.
            inside = plan.model_copy(
                update={"documents": documents, "out": plan.out.resolve(), "umask": umask()}
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
