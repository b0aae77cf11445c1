"""Images in this machine's Docker engine, found by the labels that a build gives them."""

# By the docker program and not its SDK: it follows the user's contexts, as their own shell does.

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk import processes
from dsk.errors import EngineMissing

if TYPE_CHECKING:
    from dsk.matrix import Stack

# Labels of an image: its stack's id and its lock's sha256.
STACK: Final = "dsk.stack"
LOCK: Final = "dsk.lock.sha256"
# The form of the plans that the dsk in an image takes, see `dsk.ocr.schema.plan_format`.
PLAN: Final = "dsk.plan"

_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class LocalImage:
    """An image of the local engine."""

    id: str
    """``sha256:`` and 64 hex digits, which is run: a tag may be moved in the meantime."""
    labels: dict[str, str]
    created: str


def docker() -> str:
    """Return the path of the docker program.

    Raises:
        EngineMissing: there is none.
    """
    return processes.find("docker", do="install Docker Engine 23 or later")


def rootless() -> bool:
    """Return True if the engine is rootless: the container's root is the ordinary user.

    Raises:
        EngineMissing: there is no docker, or it does not answer.
    """
    arguments = [docker(), "info", "--format", "{{json .SecurityOptions}}"]
    ended = processes.capture(arguments, seconds=_SECONDS)
    if ended.code != 0:
        raise _no_answer(ended.stderr)
    return '"name=rootless' in ended.stdout


def image_for(stack: Stack, requested: str | None = None, *, plan_format: str) -> LocalImage:
    """Return the image to run a stack in.

    Args:
        stack: its lock must be there.
        requested: an image by name or digest; the newest one that fits by default.
        plan_format: the form of the plans of this dsk.

    Raises:
        EngineMissing: there is no image, or it is of another stack, lock or dsk; the message has
            the command that builds it.
    """
    build = f"dsk build --stack {stack.id}"
    if requested is None:
        images = _of(stack)
        fitting = [image for image in images if not _misfit(image, stack, plan_format)]
        if fitting:
            return max(fitting, key=lambda image: image.created)
        what = f"there is no image of stack '{stack.id}' with its present lock, by this dsk"
        raise EngineMissing(what, do=build)
    images = _inspected([requested])
    if not images:
        what = f"there is no image {requested} on this machine"
        raise EngineMissing(what, do=f"docker pull {requested}, or {build}")
    if misfit := _misfit(images[0], stack, plan_format):
        what = f"the image {requested} is {misfit}"
        raise EngineMissing(what, do=build)
    return images[0]


def _misfit(image: LocalImage, stack: Stack, plan_format: str) -> str:
    """Return why an image does not suit a stack, or an empty text."""
    other = image.labels.get(STACK)
    if other != stack.id:
        return f"of stack '{other}', not '{stack.id}'" if other else "not made by dsk build"
    if image.labels.get(LOCK) != stack.lock_sha256():
        return f"of another lock of stack '{stack.id}' than the present one in compat/locks"
    if image.labels.get(PLAN) != plan_format:
        return "built by another dsk, whose runs are planned in another form"
    return ""


def _of(stack: Stack) -> list[LocalImage]:
    listing = ["image", "ls", "--no-trunc", "--quiet", "--filter", f"label={STACK}={stack.id}"]
    ended = processes.capture([docker(), *listing], seconds=_SECONDS)
    if ended.code != 0:
        raise _no_answer(ended.stderr)
    names = sorted(set(ended.stdout.split()))
    return _inspected(names) if names else []


def _inspected(names: list[str]) -> list[LocalImage]:
    ended = processes.capture([docker(), "image", "inspect", *names], seconds=_SECONDS)
    # docker image inspect prints the images it found and fails for the others. One that is removed
    # meanwhile can still be listed without its content.
    if ended.code != 0 and not re.search(
        r"no such image|content digest \S+: not found", ended.stderr, re.IGNORECASE
    ):
        raise _no_answer(ended.stderr)
    return [_image(description) for description in json.loads(ended.stdout or "[]")]


def _image(description: dict[str, Any]) -> LocalImage:
    labels = (description.get("Config") or {}).get("Labels") or {}
    created = description.get("Created") or ""
    return LocalImage(id=description["Id"], labels=labels, created=created)


def _no_answer(stderr: str) -> EngineMissing:
    what = f"the Docker engine does not answer ({' '.join(stderr.split())[:200]})"
    return EngineMissing(what, do="run dsk doctor for the cause")
