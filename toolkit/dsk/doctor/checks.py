"""The checks in chain order: facts and a stack in, a verdict out; the host is not touched."""

from __future__ import annotations

from typing import Final

from dsk.doctor import (
    cuda_checks,
    docker_checks,
    gpu_checks,
    model_checks,
    package_checks,
    resource_checks,
    system_checks,
)

CHECKS: Final = (
    *system_checks.CHECKS,
    *gpu_checks.CHECKS,
    *cuda_checks.CHECKS,
    *docker_checks.CHECKS,
    *package_checks.CHECKS,
    *model_checks.CHECKS,
    *resource_checks.CHECKS,
)
