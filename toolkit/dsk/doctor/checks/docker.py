"""Checks of Docker: images need it and environments do not, so nothing here is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsk.doctor.check import CheckContext, CheckGroup, Verdict, blocked_by
from dsk.doctor.fixes import as_root, install_docker, start_docker

if TYPE_CHECKING:
    from dsk.host.facts import Docker, System

GROUP: Final = CheckGroup(position=40)
_OPTIONAL: Final = "needed for images only (dsk build); dsk run works without it"


@GROUP.check("docker", "Docker engine", needs=("docker",), inspect=("docker info",))
def engine(context: CheckContext) -> Verdict:
    """Check that the container engine answers."""
    docker, system = context.facts.docker, context.facts.system
    assert docker
    if docker.engine:
        return _answers(docker)
    return _does_not_answer(docker, system)


def _answers(docker: Docker) -> Verdict:
    if not docker.podman:
        whose = ", Docker Desktop's" if docker.desktop else ""
        return Verdict(status="ok", summary=f"engine {docker.engine}{whose}")
    details = (
        "the docker program here is Podman's; dsk build and dsk run --runtime container are tried",
        "with Docker's own engine only, and dsk run without them works",
    )
    return Verdict(
        status="warning",
        summary=f"Podman {docker.engine}, not Docker",
        details=details,
        commands=("docker version",),
    )


def _does_not_answer(docker: Docker, system: System | None) -> Verdict:
    # A container has no engine of its own, and need not have its host's.
    if not docker.client and system and system.container:
        summary = "not needed in a container: images are built on its host"
        return Verdict(status="skipped", summary=summary)
    if not docker.client:
        fix = install_docker(system)
        return Verdict(
            status="warning",
            summary="not installed",
            details=(_OPTIONAL, *fix.details),
            commands=fix.commands,
        )
    if "permission denied" in docker.problem.lower():
        details = (_OPTIONAL, "this user has no access to it; run the command, then log in again")
        commands = (as_root('usermod -aG docker "$USER"', system),)
        return Verdict(
            status="warning", summary="permission denied", details=details, commands=commands
        )
    if _hangs(docker):
        fix = start_docker(docker, system, "restart")
        return Verdict(
            status="warning",
            summary=docker.problem,
            details=(_OPTIONAL, "the engine hangs", *fix.details),
            commands=fix.commands,
        )
    fix = start_docker(docker, system, "start")
    return Verdict(
        status="warning",
        summary="not running",
        details=(docker.problem, _OPTIONAL, *fix.details),
        commands=fix.commands,
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
    if docker.podman:
        return Verdict(status="skipped", summary="not checked: Podman builds without it")
    fix = install_docker(context.facts.system)
    return Verdict(
        status="warning",
        summary="not installed",
        details=(detail, *fix.details),
        commands=fix.commands,
    )


@GROUP.check("compose", "Docker compose", needs=("docker",))
def compose(context: CheckContext) -> Verdict:
    """Check that Docker has the plugin that starts what docker-compose.yml describes."""
    docker = context.facts.docker
    assert docker
    if docker.compose:
        return Verdict(status="ok", summary=docker.compose)
    if docker.compose is None or not docker.client or docker.podman or not docker.engine:
        summary = "not needed: only docker compose up asks for it"
        return Verdict(status="skipped", summary=summary)
    fix = install_docker(context.facts.system, "docker-compose-plugin")
    details = (
        "needed for docker compose up alone; the old docker-compose program before 1.28 is no",
        "substitute: it does not know how to give a GPU to a service",
        *fix.details,
    )
    return Verdict(
        status="warning", summary="not installed", details=details, commands=fix.commands
    )


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
    # Any is enough: CDI describes the GPUs in files that the engine reads by itself.
    means = {"the nvidia runtime": docker.nvidia_runtime, "CDI": docker.cdi}
    means["Docker Desktop's virtual machine"] = docker.desktop
    if any(means.values()):
        through = next(name for name, here in means.items() if here)
        return Verdict(status="ok", summary=f"containers get GPUs through {through}")
    return _toolkit_missing(docker, context.facts.system)


def _toolkit_missing(docker: Docker, system: System | None) -> Verdict:
    configure: tuple[str, ...] = (
        as_root("nvidia-ctk runtime configure --runtime=docker", system),
        *start_docker(docker, system, "restart").commands,
    )
    if docker.podman:
        # Podman takes the GPUs from CDI's files, which this writes.
        configure = (as_root("nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml", system),)
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
