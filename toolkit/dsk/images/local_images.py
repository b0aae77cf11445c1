"""The images that this machine's Docker engine has, found by the labels that a build gives them.

The program and not the SDK is asked: it knows the user's contexts, as their own shell does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dsk import processes
from dsk.errors import EngineMissing
from dsk.matrix.stack import compiled_kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.matrix import Gpu, Stack

STACK: Final = "dsk.stack"
LOCK: Final = "dsk.lock.sha256"
KERNELS: Final = "dsk.kernels"
"""The labels of an image: its stack's id, its lock's sha256, and the kernels compiled in it."""

_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class LocalImage:
    """An image of the local engine."""

    id: str
    """``sha256:`` and 64 hex digits: what is run, whatever its names come to mean meanwhile."""
    labels: dict[str, str]
    created: str


def docker() -> str:
    """The docker program.

    Raises:
        EngineMissing: there is none.
    """
    return processes.find("docker", do="install Docker Engine 23 or later")


def rootless() -> bool:
    """Whether the engine runs as an ordinary user, who is the container's root.

    Raises:
        EngineMissing: there is no docker, or it does not answer.
    """
    asked = [docker(), "info", "--format", "{{json .SecurityOptions}}"]
    done = processes.capture(asked, seconds=_SECONDS)
    if done.code != 0:
        raise _silent(done.stderr)
    return '"name=rootless' in done.stdout


def image_for(stack: Stack, cards: Iterable[Gpu], requested: str | None = None) -> LocalImage:
    """The image to run a stack in.

    Args:
        stack: its lock must be there.
        cards: those that are here, by the profiles that images for them are built by; none for a
            stack of the CPU.
        requested: an image by name or digest; without it the newest that fits is found.

    Raises:
        EngineMissing: the image is not here, or is of another stack, lock or card; the message
            has the command that makes it.
    """
    here = tuple(cards)
    if requested is None:
        fitting = [one for one in _of(stack) if not _misfit(one, stack, here)]
        if fitting:
            return max(fitting, key=lambda one: one.created)
        what = f"there is no image of stack '{stack.id}' with its lock as it is now"
        raise EngineMissing(what, do=build_command(stack, here))
    found = _inspected([requested])
    if not found:
        what = f"there is no image {requested} on this machine"
        raise EngineMissing(what, do=f"docker pull {requested}, or {build_command(stack, here)}")
    if misfit := _misfit(found[0], stack, here):
        what = f"the image {requested} is {misfit}"
        raise EngineMissing(what, do=build_command(stack, here))
    return found[0]


def build_command(stack: Stack, cards: Iterable[Gpu]) -> str:
    """What the user types to have the image of a stack for the cards that are here."""
    if stack.device == "cpu":
        return f"dsk build --stack {stack.id}"
    card = next(iter(cards), None)
    if card is None:
        return f"dsk build --gpu ID --stack {stack.id}, with your card's ID in compat/gpus.toml"
    return f"dsk build --gpu {card.id} --stack {stack.id}"


def _misfit(image: LocalImage, stack: Stack, cards: tuple[Gpu, ...]) -> str:
    """What is wrong with an image for a stack; empty where nothing is."""
    of = image.labels.get(STACK)
    if of != stack.id:
        return f"of stack '{of}', not '{stack.id}'" if of else "none that dsk build made"
    if image.labels.get(LOCK) != stack.lock_sha256():
        return f"of another lock of stack '{stack.id}' than compat/locks has now"
    compiled = image.labels.get(KERNELS, "")
    wanted = sorted({compiled_kernels(stack, card.compute_capability) for card in cards})
    if wanted and compiled not in wanted:
        here = ", ".join(card.name for card in cards)
        return f"compiled for {compiled or 'no card'}, and {here} asks {' or '.join(wanted)}"
    return ""


def _of(stack: Stack) -> list[LocalImage]:
    told = ["image", "ls", "--no-trunc", "--quiet", "--filter", f"label={STACK}={stack.id}"]
    done = processes.capture([docker(), *told], seconds=_SECONDS)
    if done.code != 0:
        raise _silent(done.stderr)
    names = sorted(set(done.stdout.split()))
    return _inspected(names) if names else []


def _inspected(names: list[str]) -> list[LocalImage]:
    done = processes.capture([docker(), "image", "inspect", *names], seconds=_SECONDS)
    if done.code != 0 and "no such image" not in done.stderr.lower():
        raise _silent(done.stderr)
    return [_image(one) for one in json.loads(done.stdout or "[]")]


def _image(told: dict[str, Any]) -> LocalImage:
    labels = (told.get("Config") or {}).get("Labels") or {}
    return LocalImage(id=told["Id"], labels=labels, created=told.get("Created") or "")


def _silent(said: str) -> EngineMissing:
    what = f"the Docker engine does not answer ({' '.join(said.split())[:200]})"
    return EngineMissing(what, do="dsk doctor says why")
