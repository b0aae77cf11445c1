"""Installation of the .pth file with which every interpreter of an environment loads the hook."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.errors import EngineMissing, UsageProblem
from dsk.files import write_atomically
from dsk.transformers_patch.switch import OFF_SWITCH, switched_off

if TYPE_CHECKING:
    from collections.abc import Mapping

# Python reads .pth files in the order of their names: an editable install's, which makes dsk
# importable, must come before.
NAME: Final = "zz_dsk_transformers_patch.pth"

# Python executes a line that begins with "import". Without dsk this one does nothing.
LINE: Final = (
    'import sys; exec("try:\\n import dsk.transformers_patch.startup\\nexcept ImportError: pass")\n'
)


@dataclass(frozen=True, kw_only=True)
class PatchState:
    """State of the patch in one environment or process.

    Args:
        on: True if remote code will be patched.
        line: that and the reason, for a person.
    """

    on: bool
    line: str


def pth(site_packages: Path | None = None) -> Path:
    """Return the path of the file in an environment, by default in this interpreter's."""
    return (site_packages or Path(sysconfig.get_path("purelib"))) / NAME


def state(
    *, enabled: bool, installed: bool, environ: Mapping[str, str], transformers: str | None
) -> PatchState:
    """Return the state for the facts that `probe` gathers.

    Args:
        enabled: the environment has the .pth file.
        installed: this process has the hook.
        environ: the environment variables.
        transformers: its release, None if it is not installed.
    """
    if switched_off(environ):
        return PatchState(on=False, line=f"off: {OFF_SWITCH} is set")
    if transformers is None:
        return PatchState(on=False, line="off: transformers is not installed here")
    if enabled:
        return PatchState(on=True, line=f"on for every process, transformers {transformers}")
    if installed:
        return PatchState(on=True, line=f"on in this process, transformers {transformers}")
    return PatchState(on=False, line="off: `dsk patch enable` turns it on")


def probe() -> PatchState:
    """Return the state of this process and its environment."""
    from importlib.metadata import PackageNotFoundError, version

    from dsk.transformers_patch import hook

    try:
        release = version("transformers")
    except PackageNotFoundError:
        release = None
    enabled = pth().is_file()
    return state(enabled=enabled, installed=hook.active(), environ=os.environ, transformers=release)


def enable() -> Path:
    """Write the file and check that a fresh interpreter loads the hook.

    Raises:
        UsageProblem: the environment is not writable.
        EngineMissing: a fresh interpreter does not load the hook; the file is removed again.
    """
    file = pth()
    try:
        write_atomically(file, LINE)
    except UsageProblem as error:
        raise UsageProblem(error.what, do="enable it in an environment of your own") from error
    probe_line = "import dsk.transformers_patch.hook as h; raise SystemExit(not h.active())"
    clean = {name: value for name, value in os.environ.items() if name != OFF_SWITCH}
    code = f"import sys; assert '{_STARTUP}' in sys.modules; {probe_line}"
    fresh = [sys.executable, "-P", "-c", code]
    if subprocess.run(fresh, env=clean, capture_output=True, check=False).returncode:
        file.unlink()
        what = f"an interpreter of {sys.prefix} did not read {file}"
        raise EngineMissing(what, do=f"in a clone of dsk, run {sys.executable} -m pip install .")
    return file


_STARTUP: Final = "dsk.transformers_patch.startup"


def disable() -> bool:
    """Remove the file.

    Returns:
        True if it existed.
    """
    file = pth()
    existed = file.is_file()
    file.unlink(missing_ok=True)
    return existed
