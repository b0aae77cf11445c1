"""The test model in the cache."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dsk import models
from dsk.errors import EngineMissing
from dsk.eyechart import cache
from dsk.matrix import load_matrix

CPU = load_matrix().stack("cpu")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were written, by a stand-in that takes its time."""
    folders: list[Path] = []

    def slowly(folder: Path, *_: Any, **__: Any) -> None:
        folders.append(folder)
        time.sleep(0.2)
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "make", slowly)
    return folders


def folder() -> Path:
    return cache.folder_of(cache.tiny_model())


def cached(_: object = None) -> Path:
    return cache.cached(CPU, cache.tiny_model(), progress=lambda _: None)


def test_of_several_who_want_it_one_makes_it_and_the_others_wait(made: list[Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(cached, range(4)))
    assert made == [folder()]
    assert found == [folder()] * 4
    assert cache.is_complete(folder())


def test_who_waited_for_one_that_failed_makes_it(
    made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly, begun, fail = cache.make, threading.Event(), threading.Event()

    def failing(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(cache, "make", slowly)
        begun.set()
        fail.wait(10)
        what = "no torch"
        raise EngineMissing(what, do="install it")

    monkeypatch.setattr(cache, "make", failing)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached)
        assert begun.wait(10)
        second = pool.submit(cached)
        time.sleep(0.1)
        assert made == []
        fail.set()
        assert second.result() == folder()
        with pytest.raises(EngineMissing):
            first.result()
    assert made == [folder()]


def test_each_model_and_each_side_has_a_folder_of_its_own() -> None:
    recipes = [
        cache.tiny_model(profile, side)
        for profile in models.profiles().values()
        for side in sorted({resolution.cells for resolution in profile.resolutions.values()})
    ]
    assert len({cache.folder_of(recipe) for recipe in recipes}) == len(recipes)
