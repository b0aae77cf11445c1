"""Programs that run in a stack's own environment, as the runner does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dsk.runtime.base import VenvRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dsk.matrix import Stack

PROGRAMS = Path(__file__).with_name("programs")
CHECKOUT = Path(__file__).parents[3]
PATIENCE = 1800  # seconds; minutes on an idle machine of two cores


@pytest.fixture(scope="session")
def run_in(usable: Callable[[str], Stack]) -> Callable[..., str]:
    """Run one of the programs beside this file on a stack's versions; its stdout."""

    def run(
        stack_id: str,
        program: str,
        *arguments: object,
        variables: Mapping[str, str] | None = None,
    ) -> str:
        place = VenvRuntime(usable(stack_id))
        base = place.variables()
        # Programs share a module, found below the checkout.
        base |= {"PYTHONPATH": f"{base['PYTHONPATH']}:{CHECKOUT}", "VLLM_CPU_KVCACHE_SPACE": "1"}
        done = subprocess.run(
            [place.python(), PROGRAMS / f"{program}.py", *map(str, arguments)],
            env=base | dict(variables or {}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        return done.stdout

    return run
