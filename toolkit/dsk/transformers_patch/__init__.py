"""Patch that makes the model's remote code load and compute correctly on every transformers."""

# Everything heavy is imported where it is used: `dsk patch enable` makes every interpreter of an
# environment import this package.

from __future__ import annotations


def install() -> bool:
    """Install the hook in this process, see `dsk.transformers_patch.hook`.

    Returns:
        False if ``DSK_NO_PATCH`` forbids it, True otherwise.
    """
    # vLLM's plugin calls it in each process, so that it works without `dsk patch enable`.
    from dsk.transformers_patch import hook

    return hook.install()
