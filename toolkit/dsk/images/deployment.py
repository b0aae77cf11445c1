"""The Compose file, the bake file and the Kubernetes manifests, rendered from the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsk import __version__, models
from dsk.errors import InputUnreadable, MatrixInvalid, NoStackFits, PagesDegraded
from dsk.images.command import SHM_SIZE, epoch, image_name, platform_of
from dsk.images.dockerfile import templates
from dsk.matrix.select import select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.matrix import Matrix, Stack

# The card that the Compose file and the manifests are for.
SERVED_ON = "rtx4090"

# Pods that the example of a divided run has.
_SHARDS = 8

# Errors that the same command ends with on every machine. Not those of usage: a full disk, and a
# folder that another pod has locked, are among them.
_LASTING = (MatrixInvalid, NoStackFits, InputUnreadable)


def compose(matrix: Matrix) -> str:
    """Return the Compose file: a server for one card."""
    gpu = matrix.gpu(SERVED_ON)
    template = templates().get_template("docker-compose.yml.j2")
    return template.render(gpu=gpu, stack=select(matrix, gpu), model=models.default().id)


def kubernetes(matrix: Matrix) -> dict[str, str]:
    """Return the Kubernetes manifests by the names of their files."""
    stack = select(matrix, matrix.gpu(SERVED_ON))
    return {
        f"{name}.yaml": templates()
        .get_template(f"kubernetes-{name}.yaml.j2")
        .render(
            stack=stack,
            model=models.default().id,
            shards=_SHARDS,
            lasting=_LASTING,
            degraded=PagesDegraded,
        )
        for name in ("serve", "read", "merge")
    }


def bake(images: Iterable[tuple[Stack, str]], *, plan_format: str) -> str:
    """Return the bake file: a target for each current stack's image.

    Args:
        images: each current stack, with its Dockerfile's path in the repository.
        plan_format: see `dsk.images.local_images.image_for`; a label of each.
    """
    targets: list[dict[str, Any]] = [
        {
            "name": image_name(stack),
            "platform": "" if stack.arch == "x86_64" else platform_of(stack.arch),
            "dockerfile": dockerfile,
            "epoch": epoch(stack),
            "selftest": stack.device == "cpu",
        }
        for stack, dockerfile in images
    ]
    template = templates().get_template("docker-bake.hcl.j2")
    return template.render(
        images=targets, version=__version__, shm_size=SHM_SIZE, plan_format=plan_format
    )
