"""The container engine as the user's shell meets it: docker's own program, its plugin, one start.

The program and not the SDK is asked: it knows the user's contexts, and one that hangs can be ended.
"""

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

SECONDS: Final = 4.0
"""How long the engine may take to tell of itself, and how long to start a container."""
_TELL: Final = "{{json .}}"
_CDI: Final = ("/etc/cdi", "/var/run/cdi")
_TOOLKIT: Final = ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime")
_OURS: Final = "dsk"


def look(seconds: float = SECONDS) -> Docker:
    """What ``docker info`` tells, and whether a container starts."""
    if shutil.which("docker") is None:
        return Docker(client=False, not_tried="there is no docker program")
    image = ThreadPoolExecutor(1).submit(_image, seconds)  # beside the next: each takes 0.1 s
    try:
        told, said = _info(seconds)
    except EngineMissing:
        return Docker(client=True, problem=f"no answer in {seconds:g} s", not_tried="no engine")
    seen = Docker(
        client=True,
        engine=str(told.get("ServerVersion") or ""),
        buildx=_buildx(told),
        problem=_problem(told, said),
        nvidia_runtime="nvidia" in (told.get("Runtimes") or {}),
        cdi=_described(),
        toolkit=any(shutil.which(name) for name in _TOOLKIT),
    )
    if not seen.engine:
        return seen.model_copy(update={"not_tried": "no engine"})
    return seen.model_copy(update=_tried(image.result(), seconds))


def _info(seconds: float) -> tuple[dict[str, Any], str]:
    """Its JSON, which has the client's half when no engine answers, and what it complained of."""
    done = processes.capture(["docker", "info", "--format", _TELL], seconds=seconds)
    start = done.stdout.find("{")
    try:
        told = json.JSONDecoder().raw_decode(done.stdout[start:])[0] if start >= 0 else {}
    except ValueError:
        told = {}
    return (told if isinstance(told, dict) else {}), done.stderr


def _problem(told: dict[str, Any], said: str) -> str:
    errors = told.get("ServerErrors") or []
    text = " ".join(" ".join(map(str, errors)).split()) or " ".join(said.split())
    return "" if told.get("ServerVersion") else (text or "docker info says nothing")[:200]


def _buildx(told: dict[str, Any]) -> str:
    plugins = (told.get("ClientInfo") or {}).get("Plugins") or []
    versions = [str(one.get("Version", "?")) for one in plugins if one.get("Name") == "buildx"]
    return versions[0].removeprefix("v") if versions else ""


def _described() -> bool:
    """Whether a file describes the NVIDIA cards to engines that read CDI."""
    files = [file for folder in _CDI for file in Path(folder).glob("*")]
    return any("nvidia" in file.name for file in files)


def _tried(image: str, seconds: float) -> dict[str, Any]:
    """Start a container from an image that is here; nothing is fetched, nothing of it is left."""
    if not image:
        return {"not_tried": "no image is here, and none is fetched for this"}
    gpus = Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
    name = f"dsk-doctor-{os.getpid()}-{time.monotonic_ns()}"
    options = ["--rm", "--pull=never", "--network=none", f"--name={name}", "--entrypoint=/bin/true"]
    options += ["--gpus=all"] if gpus else []
    try:
        done = processes.capture(["docker", "run", *options, image], seconds=seconds)
    except EngineMissing:
        _remove(name, seconds)
        return {"started": Started(gpus=gpus, problem=f"no container in {seconds:g} s")}
    why = " ".join(done.stderr.split()).replace(image, "the image")
    problem = "" if done.code == 0 else (why or f"it ended with status {done.code}")[:300]
    return {"started": Started(gpus=gpus, problem=problem)}


def _image(seconds: float) -> str:
    """One of ours if there is one, else the first that has a name."""
    told = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    try:
        names = processes.capture(told, seconds=seconds).stdout.split()
    except EngineMissing:
        return ""
    named = [name for name in names if "<none>" not in name]
    return min(named, key=lambda name: not name.startswith(f"{_OURS}:"), default="")


def _remove(name: str, seconds: float) -> None:
    try:
        processes.capture(["docker", "rm", "--force", name], seconds=seconds)
    except EngineMissing:
        return  # an engine that hangs: the finding says so
