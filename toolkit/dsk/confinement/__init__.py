"""Confine this process by the kernel's means: Landlock, seccomp, capabilities and limits."""
