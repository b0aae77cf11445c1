"""The model's remote code, loaded and computed right on every transformers, unchanged on disk.

Everything heavy is imported where it is used: `dsk patch enable` makes every interpreter of an
environment import this package.
"""

from __future__ import annotations


def install() -> bool:
    """Serve this process patched remote code; see `dsk.transformers_patch.hook`.

    For processes that do not rely on ``dsk patch enable``: vLLM's plugin calls it in each of them.

    Returns:
        False when ``DSK_NO_PATCH`` says no, True otherwise.
    """
    from dsk.transformers_patch import hook

    return hook.install()
