"""Checks of Docker: images need it and environments do not, so nothing here is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, blocked_by
from dsk.doctor.fixes import as_root, install

if TYPE_CHECKING:
    from dsk.host.facts import Docker

GROUP: Final = CheckGroup(position=40)
_OPTIONAL: Final = "needed for images only (dsk build); dsk run works without it"


@GROUP.check("docker", "Docker engine", needs=("docker",), inspect=("docker info",))
def engine(context: CheckContext) -> Verdict:
    """Check that the container engine answers."""
    docker, system = context.facts.docker, context.facts.system
    assert docker
    if docker.engine:
        return Verdict(status="ok", summary=f"engine {docker.engine}")
    # A container has no engine of its own, and need not have its host's.
    if not docker.client and system and system.container:
        summary = "not needed in a container: images are built on its host"
        return Verdict(status="skipped", summary=summary)
    if not docker.client:
        commands = install("docker.io docker-buildx", system)
        return Verdict(
            status="warning", summary="not installed", details=(_OPTIONAL,), commands=commands
        )
    if "permission denied" in docker.problem.lower():
        details = (_OPTIONAL, "this user has no access to it; run the command, then log in again")
        commands = (as_root('usermod -aG docker "$USER"', system),)
        return Verdict(
            status="warning", summary="permission denied", details=details, commands=commands
        )
    if _hangs(docker):
        details = (_OPTIONAL, "the engine hangs")
        commands = (as_root("systemctl restart docker", system),)
        return Verdict(status="warning", summary=docker.problem, details=details, commands=commands)
    commands = (as_root("systemctl start docker", system),)
    return Verdict(
        status="warning",
        summary="not running",
        details=(docker.problem, _OPTIONAL),
        commands=commands,
    )


@GROUP.check("buildx", "Docker buildx", needs=("docker",))
def buildx(context: CheckContext) -> Verdict:
    """Check that Docker has the plugin that builds images with BuildKit."""
    docker = context.facts.docker
    assert docker
    if docker.buildx:
        return Verdict(status="ok", summary=docker.buildx)
    if not docker.client or _hangs(docker):
        return blocked_by("Docker engine")
    detail = "needed for dsk build: the Dockerfiles use BuildKit's mounts"
    commands = install("docker-buildx", context.facts.system)
    return Verdict(status="warning", summary="not installed", details=(detail,), commands=commands)


def _hangs(docker: Docker) -> bool:
    # The probe's words after it had to kill the docker program.
    return docker.problem.startswith("no answer")


@GROUP.check("toolkit", "Container toolkit", needs=("docker",))
def toolkit(context: CheckContext) -> Verdict:
    """Check that Docker can give GPUs to containers, through NVIDIA's container toolkit."""
    docker, nvidia = context.facts.docker, context.facts.nvidia
    assert docker
    if context.stack.gpu is None:
        summary = f"not needed: stack {context.stack.id} runs on the CPU"
        return Verdict(status="skipped", summary=summary)
    if not docker.engine:
        return blocked_by("Docker engine")
    if nvidia is None or not nvidia.driver:
        return blocked_by("NVIDIA driver")
    # Either is enough: CDI describes the GPUs in files that the engine reads by itself.
    if docker.nvidia_runtime or docker.cdi:
        means = "the nvidia runtime" if docker.nvidia_runtime else "CDI"
        return Verdict(status="ok", summary=f"containers get GPUs through {means}")
    system = context.facts.system
    configure = (
        as_root("nvidia-ctk runtime configure --runtime=docker", system),
        as_root("systemctl restart docker", system),
    )
    if docker.toolkit:
        detail = "it is installed, but Docker is not configured to use it"
        return Verdict(
            status="warning", summary="not set up", details=(detail,), commands=configure
        )
    details = (
        "without it no container gets a GPU; dsk run works all the same. Add NVIDIA's package",
        "source (docs.nvidia.com/datacenter/cloud-native/container-toolkit), then:",
    )
    commands = (as_root("apt-get install -y nvidia-container-toolkit", system), *configure)
    return Verdict(status="warning", summary="not installed", details=details, commands=commands)


@GROUP.check("container", "Container start", needs=("docker",))
def start(context: CheckContext) -> Verdict:
    """Check that a container really started, with the GPUs if there are any."""
    docker = context.facts.docker
    assert docker
    trial = docker.started
    if trial is None:
        reason = docker.not_tried or "these facts do not say why"
        return Verdict(status="skipped", summary=f"not tried: {reason}")
    if trial.gpus and trial.problem and not (docker.nvidia_runtime or docker.cdi):
        return blocked_by("Container toolkit")
    with_gpus = "with the GPUs" if trial.gpus else "without GPUs"
    if not trial.problem:
        return Verdict(status="ok", summary=f"one started and ended, {with_gpus}")
    gpus = "--gpus all " if trial.gpus else ""
    return Verdict(
        status="warning",
        summary=f"none started, {with_gpus}",
        details=(trial.problem, _OPTIONAL),
        commands=(f"docker run --rm {gpus}hello-world",),
    )
