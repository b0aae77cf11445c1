"""Machine code in made-up libraries; those of vLLM 0.8.5, 0.24.0 and 0.31.0 were read by hand."""

import io

import pytest
from tests.unit.updates.made_up import library

from dsk.updates.fatbin import machine_code


@pytest.mark.parametrize("capabilities", [(), (90,), (75, 80, 120)])
def test_machine_code_is_found_and_ptx_is_not(capabilities: tuple[int, ...]) -> None:
    content = library(*capabilities, ptx=(70, 103))
    assert machine_code(io.BytesIO(content)) == set(capabilities)


def test_several_fat_binaries_count_together() -> None:
    content = library(80) + b"\0" * 7 + library(90, 100)
    assert machine_code(io.BytesIO(content)) == {80, 90, 100}


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF", b"\x50\xed\x55\xba", library(90)[:-40], b"\x50\xed\x55\xba" + b"\xff" * 40],
)
def test_a_torn_or_foreign_library_has_none(content: bytes) -> None:
    assert machine_code(io.BytesIO(content)) == set()
