"""Import that installs the hook when an interpreter starts, see `enablement`."""

from dsk.transformers_patch import hook

hook.install()
