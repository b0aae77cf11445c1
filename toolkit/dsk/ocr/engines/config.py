"""Make the configuration of an engine: the one place where vLLM's arguments are decided."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk import console
from dsk.matrix import load_matrix
from dsk.ocr.schema.engine_config import EngineConfig
from dsk.transformers_patch.switch import OFF_SWITCH
from dsk.vllm_plugin import loopback, stack_support
from dsk.vllm_plugin.registration import NATIVE_SWITCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.matrix import Stack
    from dsk.models.base import ModelProfile
    from dsk.ocr.schema.engine_config import Server

_CPU_INFO: Final = Path("/proc/cpuinfo")
# Instruction sets, of x86-64 and of aarch64, with which oneDNN multiplies bfloat16 natively.
_BFLOAT16: Final = ({"avx512bw", "avx512vl", "avx512dq"}, {"bf16"})


def engine_config(
    stack: Stack,
    profile: ModelProfile,
    model: Path,
    *,
    mode: str,
    patch: bool,
    version: str | None = None,
    native: bool = False,
) -> EngineConfig:
    """Decide what a stack's engine is started with.

    Args:
        stack: the stack, whose settings come first.
        profile: the model's profile.
        model: the model's folder.
        mode: the resolution that pages are read at first.
        patch: whether a checkpoint's own code is patched.
        version: the vLLM that will run, where it is not the stack's.
        native: whether vLLM's own model is wanted, to compare with.

    Raises:
        EngineMissing: that vLLM does not read the model, or starts another engine.
        MatrixInvalid: the stack pins no vLLM.
    """
    support = stack_support.require(
        stack, profile.record, load_matrix(stack.folder), version=version, native=native
    )
    if support.warning:
        console.warn(support.warning)
    arguments: dict[str, Any] = dict(stack.settings)
    if stack.device == "cpu":
        arguments["dtype"] = cpu_dtype()
    # V0 has no logits processors by name: its model attaches the guard to each request.
    if stack.engine == "V1":
        arguments |= {
            "logits_processors": [support.guard],
            # No page comes twice: nothing is gained by looking up what earlier ones were.
            "mm_processor_cache_gb": 0,
            "enable_prefix_caching": False,
        }
        if support.scheduler and stack.device == "cuda":
            arguments["scheduler_cls"] = support.scheduler
    arguments |= support.settings
    return EngineConfig(
        kind=stack.engine,
        device=stack.device,
        profile=profile.id,
        model=model,
        mode=mode,
        page_format=support.page_format,
        package=support.package,
        settings=arguments,
        environment=dict(support.environment),
        patch=patch,
    )


def server_config(
    servers: tuple[Server, ...], profile: ModelProfile, *, patch: bool, wait_seconds: int
) -> EngineConfig:
    """Return the configuration of an engine that reads through servers, which get PNG files."""
    return EngineConfig(
        kind="server",
        device="cpu",
        profile=profile.id,
        model=None,
        mode=profile.default_resolution.name,
        page_format="png",
        patch=patch,
        servers=servers,
        wait_seconds=wait_seconds,
    )


def engine_environment(config: EngineConfig) -> dict[str, str]:
    """Return the variables to add to an engine's process, in `dsk run` and `dsk serve` alike."""
    # A user who sets the variable, to try the other runner of vLLM, means it.
    chosen = {name: os.environ.get(name, value) for name, value in config.environment.items()}
    variables = chosen | loopback.ENVIRONMENT
    if config.kind == "V1" and config.package is None:
        variables[NATIVE_SWITCH] = "1"
    plugins = os.environ.get("VLLM_PLUGINS")
    if plugins is not None and "dsk" not in plugins.split(","):
        # Without our plugin vLLM would listen on every interface, and might load its own model,
        # which gets pages in another format.
        variables["VLLM_PLUGINS"] = ",".join(name for name in (plugins, "dsk") if name)
    if not config.patch:
        variables[OFF_SWITCH] = "1"
    if config.kind == "V0":
        variables["VLLM_USE_V1"] = "0"
    if config.device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        # vLLM's V1 worker computes on one thread unless told otherwise.
        variables["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    return variables


def cpu_dtype(info: Path = _CPU_INFO) -> str:
    """Return the type to compute in on this CPU: bfloat16 where it is fast, else float32.

    Without AVX-512 torch multiplies bfloat16 in plain loops, eight times slower than float32
    (measured on an AVX2 machine: a layer of SAM 4.5 s against 0.6 s), and vLLM's workers are
    given up as dead after five minutes. The rule is torch's own
    (``torch.ops.mkldnn._is_mkldnn_bf16_supported``), asked without torch.
    """
    names = ("flags", "Features")  # on x86-64 and on aarch64
    try:
        text = info.read_text("utf-8")
    except OSError:
        return "float32"  # right everywhere, if slow on some
    lines = (line.partition(":") for line in text.splitlines())
    flags = next(
        (set(found.split()) for key, _, found in lines if key.strip() in names), set[str]()
    )
    return "bfloat16" if any(needed <= flags for needed in _BFLOAT16) else "float32"


def command_line(settings: Mapping[str, Any]) -> list[str]:
    """Return engine arguments as flags of vLLM's server."""
    flags: list[str] = []
    for key, value in settings.items():
        name = key.replace("_", "-")
        match value:
            case True:
                flags.append(f"--{name}")
            case False:
                flags.append(f"--no-{name}")
            case list():
                flags += [f"--{name}", *map(str, value)]
            case _:
                flags += [f"--{name}", str(value)]
    return flags
