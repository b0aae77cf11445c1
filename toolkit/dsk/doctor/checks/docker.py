"""Docker: needed for images, not for running in an environment; so nothing here is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict
from dsk.doctor.fixes import as_root, install

if TYPE_CHECKING:
    from dsk.host.facts import Docker

GROUP: Final = CheckGroup(position=40)
_NEEDLESS: Final = "needed for images only (dsk build); dsk run works without it"
_SEE: Final = "docker info"


@GROUP.check("docker", "Docker engine", needs=("docker",), inspect=(_SEE,))
def engine(context: CheckContext) -> Verdict:
    """The container engine answers."""
    seen, system = context.facts.docker, context.facts.system
    assert seen
    if seen.engine:
        return Verdict(status="ok", summary=f"engine {seen.engine}")
    if not seen.client and system and system.container:
        summary = "not needed in a container: images are built on the machine itself"
        return Verdict(status="skipped", summary=summary)
    if not seen.client:
        commands = install("docker.io docker-buildx", system)
        return Verdict(
            status="warning", summary="not installed", details=(_NEEDLESS,), commands=commands
        )
    if "permission denied" in seen.problem.lower():
        details = (_NEEDLESS, "this user may not talk to the engine: log in anew after the command")
        commands = (as_root('usermod -aG docker "$USER"', system),)
        return Verdict(
            status="warning", summary="permission denied", details=details, commands=commands
        )
    if _hangs(seen):
        details = (_NEEDLESS, "the engine hangs")
        commands = (as_root("systemctl restart docker", system),)
        return Verdict(status="warning", summary=seen.problem, details=details, commands=commands)
    commands = (as_root("systemctl start docker", system),)
    return Verdict(
        status="warning",
        summary="no engine runs",
        details=(seen.problem, _NEEDLESS),
        commands=commands,
    )


@GROUP.check("buildx", "Docker buildx", needs=("docker",))
def buildx(context: CheckContext) -> Verdict:
    """The plugin that builds images with BuildKit."""
    seen = context.facts.docker
    assert seen
    if seen.buildx:
        return Verdict(status="ok", summary=seen.buildx)
    if not seen.client or _hangs(seen):
        return Verdict(status="skipped", summary="not reached: Docker engine first")
    detail = "needed for dsk build: the Dockerfiles use BuildKit's mounts"
    commands = install("docker-buildx", context.facts.system)
    return Verdict(status="warning", summary="not installed", details=(detail,), commands=commands)


def _hangs(seen: Docker) -> bool:
    return seen.problem.startswith("no answer")


@GROUP.check("toolkit", "Container toolkit", needs=("docker",))
def toolkit(context: CheckContext) -> Verdict:
    """The NVIDIA container toolkit, by which a container gets a card."""
    seen, nvidia = context.facts.docker, context.facts.nvidia
    assert seen
    if context.stack.gpu is None:
        return Verdict(
            status="skipped", summary=f"not needed: stack {context.stack.id} has no card"
        )
    if not seen.engine:
        return Verdict(status="skipped", summary="not reached: Docker engine first")
    if nvidia is None or not nvidia.driver:
        return Verdict(status="skipped", summary="not reached: NVIDIA driver first")
    if seen.nvidia_runtime or seen.cdi:
        kind = "the nvidia runtime" if seen.nvidia_runtime else "CDI"
        return Verdict(status="ok", summary=f"containers get cards through {kind}")
    system = context.facts.system
    tell = (
        as_root("nvidia-ctk runtime configure --runtime=docker", system),
        as_root("systemctl restart docker", system),
    )
    if seen.toolkit:
        details: tuple[str, ...] = ("it is installed, and Docker has not been told of it",)
        return Verdict(status="warning", summary="not set up", details=details, commands=tell)
    details = (
        "without it no container gets a card; dsk run works all the same. Its packages come from",
        "NVIDIA: docs.nvidia.com/datacenter/cloud-native/container-toolkit, then:",
    )
    commands = (as_root("apt-get install -y nvidia-container-toolkit", system), *tell)
    return Verdict(status="warning", summary="not installed", details=details, commands=commands)


@GROUP.check("container", "Container start", needs=("docker",))
def start(context: CheckContext) -> Verdict:
    """A container really starts, with the cards where there are some."""
    seen = context.facts.docker
    assert seen
    tried = seen.started
    if tried is None:
        reason = seen.not_tried or "it was not asked for"
        return Verdict(status="skipped", summary=f"not tried: {reason}")
    if tried.gpus and tried.problem and not (seen.nvidia_runtime or seen.cdi):
        return Verdict(status="skipped", summary="not reached: Container toolkit first")
    with_cards = "with the cards" if tried.gpus else "without cards"
    if not tried.problem:
        return Verdict(status="ok", summary=f"one started and ended, {with_cards}")
    details = (tried.problem, _NEEDLESS)
    gpus = "--gpus all " if tried.gpus else ""
    command = f"docker run --rm {gpus}hello-world"
    return Verdict(
        status="warning",
        summary=f"none started, {with_cards}",
        details=details,
        commands=(command,),
    )
