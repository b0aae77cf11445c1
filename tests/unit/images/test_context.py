"""What an installed dsk builds from: copied once, and left to whoever builds from it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dsk import paths
from dsk.images import context


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package, in small."""
    package = tmp_path / "lib" / "dsk"
    for name in ("_data/compat/gpus.toml", "_data/pyproject.toml", "cli.py", "__pycache__/cli.pyc"):
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, "utf-8")
    monkeypatch.setattr(paths, "PACKAGE", package)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    return package


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_it_has_the_shape_of_the_checkout(package: Path) -> None:
    assert files(context.folder()) == ["compat/gpus.toml", "pyproject.toml", "toolkit/dsk/cli.py"]


def test_a_build_that_begins_leaves_the_context_of_another_alone(package: Path) -> None:
    first = context.folder()
    (first / "dockerfiles").mkdir()
    assert context.folder() == first
    assert (first / "dockerfiles").is_dir()
    (package / "cli.py").write_text("another", "utf-8")
    second = context.folder()
    assert second != first
    assert (first / "toolkit/dsk/cli.py").read_text("utf-8") == "cli.py"
    assert (second / "toolkit/dsk/cli.py").read_text("utf-8") == "another"


def test_builds_that_begin_at_once_have_one_whole_context(package: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: files(context.folder()), range(8)))
    assert begun == [files(context.folder())] * 8
    assert len(list((paths.cache() / "context").iterdir())) == 1
