"""Probe of the container engine: the ``docker`` program, its plugins, one trial start."""

# It runs the program, not the SDK: the program knows the user's contexts, and can be killed when
# the engine hangs.

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from dsk import processes
from dsk.errors import EngineMissing
from dsk.host.facts import Docker, Started

# Time limit for the engine to describe itself, and for a container to start.
SECONDS: Final = 4.0
_JSON: Final = "{{json .}}"
_CDI: Final = ("/etc/cdi", "/var/run/cdi")
_TOOLKIT: Final = ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime")
_PREFERRED: Final = "dsk"


def look(seconds: float = SECONDS) -> Docker:
    """Return what ``docker info`` reports, and the result of a trial start."""
    if shutil.which("docker") is None:
        return Docker(client=False, not_tried="there is no docker program")
    image = ThreadPoolExecutor(1).submit(_image, seconds)  # in parallel: 0.1 s each
    try:
        info, stderr = _info(seconds)
    except EngineMissing:
        return Docker(client=True, problem=f"no answer in {seconds:g} s", not_tried="no engine")
    docker = Docker(
        client=True,
        engine=_engine(info),
        buildx=_plugin(info, "buildx"),
        compose=_plugin(info, "compose"),
        desktop=info.get("OperatingSystem") == "Docker Desktop",
        podman=_is_podman(info),
        problem=_problem(info, stderr),
        nvidia_runtime="nvidia" in (info.get("Runtimes") or {}),
        cdi=_has_cdi(),
        toolkit=any(shutil.which(name) for name in _TOOLKIT),
    )
    if not docker.engine:
        return docker.model_copy(update={"not_tried": "no engine"})
    return docker.model_copy(update=_try_start(image.result(), seconds))


def _info(seconds: float) -> tuple[dict[str, Any], str]:
    """Return the JSON of ``docker info`` and its stderr."""
    done = processes.capture(["docker", "info", "--format", _JSON], seconds=seconds)
    # Warnings may come before the JSON; without an engine it has the client's half only.
    start = done.stdout.find("{")
    try:
        info = json.JSONDecoder().raw_decode(done.stdout[start:])[0] if start >= 0 else {}
    except ValueError:
        info = {}
    return (info if isinstance(info, dict) else {}), done.stderr


def _problem(info: dict[str, Any], stderr: str) -> str:
    errors = info.get("ServerErrors") or []
    text = " ".join(" ".join(map(str, errors)).split()) or " ".join(stderr.split())
    return "" if _engine(info) else (text or "docker info says nothing")[:200]


def _is_podman(info: dict[str, Any]) -> bool:
    """Return True if Podman answered: its description of itself has other keys than Docker's."""
    return "ServerVersion" not in info and isinstance(info.get("host"), dict)


def _engine(info: dict[str, Any]) -> str:
    if _is_podman(info):
        version = info.get("version")
        return str(version.get("Version") or "?") if isinstance(version, dict) else "?"
    return str(info.get("ServerVersion") or "")


def _plugin(info: dict[str, Any], name: str) -> str:
    """Return the release of a plugin of the docker program; empty if there is none."""
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or []
    versions = [str(plugin.get("Version", "?")) for plugin in plugins if plugin.get("Name") == name]
    return versions[0].removeprefix("v") if versions else ""


def _has_cdi() -> bool:
    """Return True if a file describes the NVIDIA GPUs to engines that read CDI."""
    files = [file for folder in _CDI for file in Path(folder).glob("*")]
    return any("nvidia" in file.name for file in files)


def _try_start(image: str, seconds: float) -> dict[str, Any]:
    """Start a container from an image that is present; pull nothing, leave nothing behind."""
    if not image:
        return {"not_tried": "no image is present, and none is pulled for this"}
    gpus = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
    name = f"dsk-doctor-{os.getpid()}-{time.monotonic_ns()}"
    options = ["--rm", "--pull=never", "--network=none", f"--name={name}", "--entrypoint=/bin/true"]
    options += ["--gpus=all"] if gpus else []
    try:
        done = processes.capture(["docker", "run", *options, image], seconds=seconds)
    except EngineMissing:
        _remove(name, seconds)
        return {"started": Started(gpus=gpus, problem=f"no container in {seconds:g} s")}
    stderr = " ".join(done.stderr.split()).replace(image, "the image")
    problem = "" if done.code == 0 else (stderr or f"it ended with status {done.code}")[:300]
    return {"started": Started(gpus=gpus, problem=problem)}


def _image(seconds: float) -> str:
    """Return the name of an image to try: one of dsk's if there is one, else any."""
    listing = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    try:
        names = processes.capture(listing, seconds=seconds).stdout.split()
    except EngineMissing:
        return ""
    named = [name for name in names if "<none>" not in name]
    return min(named, key=lambda name: not name.startswith(f"{_PREFERRED}:"), default="")


def _remove(name: str, seconds: float) -> None:
    try:
        processes.capture(["docker", "rm", "--force", name], seconds=seconds)
    except EngineMissing:
        return  # the engine hangs, which the finding already says
