"""A card that the matrix does not know, described by its compute capability and memory."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dsk.cli.common.gpu_options import requested
from dsk.cli.matrix import command
from dsk.errors import NoStackFits, UsageProblem
from dsk.matrix import load_matrix

MATRIX = load_matrix()


def select(*options: str) -> str:
    result = CliRunner().invoke(command, ["select", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("capability", ["8.6", "86", "sm_86"])
def test_a_described_card_gets_the_stack_of_its_like(capability: str) -> None:
    printed = select("--compute-capability", capability, "--vram", "19.6")
    assert printed.startswith("v0 for a GPU of compute capability 8.6 with 19.6 GiB")


def test_a_described_card_of_two_digits_is_read() -> None:
    assert select("--compute-capability", "12.0", "--vram", "16").startswith("v1 for")


def test_a_described_card_that_is_too_small_is_refused() -> None:
    with pytest.raises(NoStackFits, match=r"8.6 with 8 GiB; the nearest is v0: it needs 10 GiB"):
        select("--compute-capability", "8.6", "--vram", "8")


@pytest.mark.parametrize(
    ("name", "capability", "vram", "said"),
    [
        ("rtx4090", (8, 6), 10.0, "--gpu excludes"),
        (None, (8, 6), None, "together"),
        (None, None, 10.0, "together"),
    ],
)
def test_half_a_description_is_refused(
    name: str | None, capability: tuple[int, int] | None, vram: float | None, said: str
) -> None:
    with pytest.raises(UsageProblem, match=said):
        requested(MATRIX, name, capability, vram)


def test_a_capability_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(
        command, ["select", "--compute-capability", "ampere", "--vram", "8"]
    )
    assert result.exit_code == 2
    assert "give it as NVIDIA does, such as 8.6" in result.output
