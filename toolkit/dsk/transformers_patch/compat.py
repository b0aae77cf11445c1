"""The name of `dsk.transformers_patch.shims` in files that an earlier dsk patched on disk."""

from dsk.transformers_patch.shims import *  # noqa: F403
