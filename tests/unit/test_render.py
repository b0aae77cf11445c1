"""Dockerfiles and README: rendered from the matrix, committed, byte for byte."""

import re
from pathlib import Path

import pytest

from dsk import paths
from dsk.compat import Gpu, Stack, load_matrix
from dsk.errors import MatrixInvalid
from dsk.images import tree
from dsk.images.render import dockerfile, quoted
from dsk.readme import rendered

MATRIX = load_matrix()
GENERATED = tree.everything(MATRIX)


@pytest.fixture
def gpu() -> Gpu:
    return MATRIX.gpu("rtx4090")


@pytest.fixture
def v0() -> Stack:
    return MATRIX.stack("v0")


@pytest.mark.parametrize("file", GENERATED, ids=lambda file: str(file.relative_to(paths.CHECKOUT)))
def test_a_committed_file_is_what_the_matrix_renders_to(file: Path, update_golden: bool) -> None:
    if update_golden:
        tree.write({file: GENERATED[file]})
    assert file.read_bytes() == GENERATED[file].encode()


def test_nothing_lies_among_the_dockerfiles_that_nothing_renders_to() -> None:
    assert tree.strays(GENERATED) == []


def test_the_same_input_gives_the_same_bytes(gpu: Gpu, v0: Stack) -> None:
    assert dockerfile(gpu, v0) == dockerfile(gpu, v0)


def test_the_first_line_is_the_syntax_directive(gpu: Gpu, v0: Stack) -> None:
    # BuildKit reads it there and nowhere else.
    assert dockerfile(gpu, v0).startswith("# syntax=docker/dockerfile:1")


def test_wheels_come_from_the_lock_by_hash(gpu: Gpu, v0: Stack) -> None:
    installs = re.findall(r"^.*pip install.*$", dockerfile(gpu, v0), re.MULTILINE)
    hashed = [line for line in installs if "--require-hashes --no-deps" in line]
    assert len(hashed) == 3  # uv, the lock, flash-attn
    assert [line for line in installs if line not in hashed] == [
        "RUN uv pip install --no-index --no-deps --no-build-isolation /opt/src"
    ]


def test_remote_code_is_patched_in_every_process(gpu: Gpu, v0: Stack) -> None:
    first, _, _ = dockerfile(gpu, v0).partition("# ---- the image ----")
    assert first.index("pip install --no-index") < first.index("RUN /opt/dsk/bin/dsk patch enable")


def test_a_compiler_for_cuda_stays_in_the_first_stage(gpu: Gpu, v0: Stack) -> None:
    bases = re.findall(r"^FROM (\S+)", dockerfile(gpu, v0), re.MULTILINE)
    assert [("-devel-" in base, "pytorch" in base) for base in bases] == [
        (True, False),
        (False, False),
    ]


def test_flash_attn_is_compiled_for_the_card_alone(v0: Stack) -> None:
    assert 'FLASH_ATTN_CUDA_ARCHS="80"' in dockerfile(MATRIX.gpu("rtx4090"), v0)
    assert 'FLASH_ATTN_CUDA_ARCHS="90"' in dockerfile(MATRIX.gpu("h100"), v0)


def test_the_image_runs_as_nobody_special_with_the_recipe_s_flags(gpu: Gpu, v0: Stack) -> None:
    last_stage = dockerfile(gpu, v0).rsplit("\nFROM ", 1)[1]
    assert "\nUSER 1000:1000\n" in last_stage
    assert '\nENTRYPOINT ["dsk"]\n' in last_stage
    assert 'VLLM_USE_V1="0"' in last_stage


def test_the_image_names_the_lock_it_was_made_from(gpu: Gpu, v0: Stack) -> None:
    assert f'dsk.lock.sha256="{v0.lock_sha256()}"' in dockerfile(gpu, v0)


def test_a_stack_without_a_base_image_cannot_be_rendered(gpu: Gpu) -> None:
    with pytest.raises(MatrixInvalid, match="stack 'cpu' names no base image"):
        dockerfile(gpu, MATRIX.stack("cpu"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", '"plain"'),
        ("two words", '"two words"'),
        ('say "hi"', r'"say \"hi\""'),
        ("$HOME`id`", r'"\$HOME\`id\`"'),
        ("back\\slash", r'"back\\slash"'),
        ("", '""'),
    ],
)
def test_a_value_is_quoted_so_that_nothing_expands(value: str, written: str) -> None:
    assert quoted(value) == written


def test_a_line_break_in_a_value_is_refused() -> None:
    with pytest.raises(MatrixInvalid, match="line break"):
        quoted("one\nRUN evil")


def test_prose_around_the_markers_is_left_alone() -> None:
    text = (
        "before\n<!-- generated:stacks -->stale<!-- /generated -->\nbetween\n"
        "<!-- generated:patch --><!-- /generated -->\n"
        "<!-- generated:exit-codes -->\nstale\n<!-- /generated -->\nafter\n"
    )
    result = rendered(text, MATRIX)
    assert "stale" not in result
    assert [line for line in result.splitlines() if line[:1].isalpha()] == [
        "before",
        "between",
        "after",
    ]
    assert rendered(result, MATRIX) == result


def test_a_readme_without_a_marker_is_refused() -> None:
    with pytest.raises(MatrixInvalid, match=r"generated:stacks.*found 0"):
        rendered("no marker here\n", MATRIX)
