"""How long a user waits for `dsk` to start, as a multiple of Python's own start.

The targets (STYLE: `dsk --help` under 150 ms, `dsk render --all --check` under 1 s, `dsk doctor`
under 1 s, with the programs that it asks) hold where
`python -c pass` takes 15 ms or more; the ratio holds on a busy machine too.
"""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable

import pytest

ROUNDS = 7


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., float]:
    """CPU seconds (user and system) of a Python process, the median of some, bytecode at hand."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def measure(*arguments: str) -> float:
        taken = []
        for _ in range(ROUNDS + 1):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return statistics.median(taken[1:])

    return measure


DSK = "from dsk.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "at_most"),
    [(("--help",), 12), (("render", "--all", "--check"), 50), (("doctor",), 60)],
    ids=["help", "render-check", "doctor"],
)
def test_dsk_starts_in_a_small_multiple_of_python_s_own_start(
    arguments: tuple[str, ...], at_most: int, seconds: Callable[..., float]
) -> None:
    assert seconds("-c", DSK, *arguments) < at_most * max(seconds("-c", "pass"), 0.012)
