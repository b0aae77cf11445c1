"""Which of the engine's images is taken for a stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dsk.errors import EngineMissing
from dsk.images import local_images
from dsk.matrix import Stack, load_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.images.local_images import LocalImage

MATRIX = load_matrix()
V0, V1 = MATRIX.stack("v0"), MATRIX.stack("v1")


def keep(bin_: Path, stack: Stack, **labels: str) -> None:
    """A docker whose engine has one image of a stack, with more labels."""
    own = {"dsk.stack": stack.id, "dsk.lock.sha256": stack.lock_sha256(), "dsk.plan": "now"}
    image = {"Id": "sha256:1", "Config": {"Labels": own | labels}, "Created": "2026-11-28"}
    program = bin_ / "docker"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = ls ]; then echo sha256:1; exit; fi\n'
        f"cat <<'EOF'\n{json.dumps([image])}\nEOF\n"
    )
    program.chmod(0o755)


def image_for(stack: Stack, requested: str | None = None) -> LocalImage:
    return local_images.image_for(stack, requested, plan_format="now")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_the_image_of_a_stack_runs_on_every_card(engine: Path) -> None:
    keep(engine, V0, **{"dsk.with": "flash-attn"})
    assert image_for(V0).id == image_for(V0, "mine").id == "sha256:1"


def test_an_image_of_another_stack_is_refused(engine: Path) -> None:
    keep(engine, V0)
    with pytest.raises(EngineMissing, match=r"of stack .v0., not .v1.: dsk build --stack v1"):
        image_for(V1, "mine")


@pytest.mark.parametrize("labels", [{"dsk.plan": "then"}, {"dsk.plan": ""}])
def test_an_image_of_another_dsk_is_refused_with_the_command_that_builds_it(
    engine: Path, labels: dict[str, str]
) -> None:
    keep(engine, V1, **labels)
    command = "dsk build --stack v1"
    with pytest.raises(EngineMissing, match=f"no image .* by this dsk: {command}"):
        image_for(V1)
    with pytest.raises(EngineMissing, match=f"mine is built by another dsk, .*: {command}"):
        image_for(V1, "mine")


# As Docker 26 says it: for an unknown name, and for an image whose removal is under way.
@pytest.mark.parametrize(
    "error",
    [
        "Error: No such image: sha256:2",
        "Error response from daemon: content digest sha256:2: not found",
    ],
)
def test_an_image_that_is_removed_meanwhile_does_not_hide_the_others(
    engine: Path, error: str
) -> None:
    keep(engine, V1)
    program = engine / "docker"
    program.write_text(f"{program.read_text()}echo '{error}' >&2\nexit 1\n")
    assert image_for(V1).id == "sha256:1"


def test_an_engine_that_does_not_answer_is_no_missing_image(engine: Path) -> None:
    keep(engine, V1)
    program = engine / "docker"
    program.write_text(f"{program.read_text()}echo 'page not found' >&2\nexit 1\n")
    with pytest.raises(EngineMissing, match="does not answer"):
        image_for(V1)
