"""Folders of patched code: whole for every process that loads them, whoever else is killed."""

import os
from pathlib import Path

import pytest

from dsk.errors import UsageProblem
from dsk.transformers_patch import detection, folders

CODE = Path(__file__).resolve().parents[2] / "integration" / "patch" / "remote_code"


def sources() -> dict[str, tuple[bytes, Path]]:
    return {path.name: (path.read_bytes(), path) for path in CODE.glob("*.py")}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_each_original_lies_beside_its_file(tmp_path: Path) -> None:
    folder = folders.patched_folder(sources(), tmp_path / "modules")
    for name, (source, _) in sources().items():
        file = folder.path / name
        beside = folder.path / (name + detection.ORIGINAL_SUFFIX)
        if detection.read_header(file.read_bytes()):
            assert beside.read_bytes() == source
        else:
            assert file.read_bytes() == source
    assert folder.changed == 5


def test_a_second_asking_finds_the_same_folder_untouched(tmp_path: Path) -> None:
    first = folders.patched_folder(sources(), tmp_path / "modules")
    made = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    assert folders.patched_folder(sources(), tmp_path / "modules") == first
    assert made == {path: path.stat().st_mtime_ns for path in first.path.iterdir()}


def test_another_source_has_another_folder(tmp_path: Path) -> None:
    changed = sources() | {"more.py": (b"x = 1\n", tmp_path / "more.py")}
    first = folders.patched_folder(sources(), tmp_path / "modules")
    assert folders.patched_folder(changed, tmp_path / "modules").path != first.path


def test_a_folder_that_nobody_finished_is_made_again(tmp_path: Path) -> None:
    folder = folders.patched_folder(sources(), tmp_path / "modules").path
    (folder / folders.MANIFEST).unlink()
    (folder / "modeling_shelf.py").write_text("half")
    again = folders.patched_folder(sources(), tmp_path / "modules").path
    assert again == folder
    assert (again / "modeling_shelf.py").read_text() != "half"


def test_a_read_only_cache_is_served_from_a_side_folder(tmp_path: Path, own_cache: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    modules.chmod(0o555)
    folder = folders.patched_folder(sources(), modules)
    assert folder.path.parent == own_cache / "modules"
    assert list(modules.iterdir()) == []


def test_a_temporary_folder_that_is_not_ours_alone_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    shared = tmp_path / "tmp" / f"dsk-{os.getuid()}"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    for place in (tmp_path / "modules", own_cache):
        place.mkdir()
        place.chmod(0o555)
    with pytest.raises(UsageProblem, match="no folder for patched remote code"):
        folders.patched_folder(sources(), tmp_path / "modules")
    shared.chmod(0o700)
    assert folders.patched_folder(sources(), tmp_path / "modules").path.is_relative_to(shared)


def test_a_file_that_is_not_known_is_left_alone_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "4.57.6")
    source = (
        b"from transformers.x import LlamaFlashAttention2\nclass Mine(LlamaFlashAttention2): ...\n"
    )
    strange = tmp_path / "strange.py"
    folder = folders.patched_folder(
        sources() | {"strange.py": (source, strange)}, tmp_path / "modules"
    )
    assert (folder.path / "strange.py").read_bytes() == source
    (line,) = folder.unknown
    assert str(strange) in line
    assert detection.sha256(source) in line
    assert "transformers 4.57.6" in line
