"""The model's remote code, loaded and computed right on every transformers, unchanged on disk.

Everything heavy is imported where it is used: `dsk patch enable` makes every interpreter of an
environment import this package.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing is not imported yet when an interpreter starts
if TYPE_CHECKING:
    from collections.abc import Mapping

OFF_SWITCH = "DSK_NO_PATCH"
"""Environment variable: any value but an empty one or 0 keeps the patch out of the process."""


def switched_off(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``DSK_NO_PATCH`` says no."""
    return environ.get(OFF_SWITCH, "0") not in ("", "0")


def install() -> bool:
    """Serve this process patched remote code; see `dsk.transformers_patch.hook`.

    For processes that do not rely on ``dsk patch enable``: vLLM's plugin calls it in each of them.

    Returns:
        False when ``DSK_NO_PATCH`` says no, True otherwise.
    """
    from dsk.transformers_patch import hook

    return hook.install()
