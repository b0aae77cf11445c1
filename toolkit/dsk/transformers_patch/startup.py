"""What the environment's .pth file imports when an interpreter starts; see `enablement`."""

from dsk.transformers_patch import hook

hook.install()
