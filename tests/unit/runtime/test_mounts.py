"""What a container sees: files at their own paths, and what their folders link to."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from dsk.errors import UsageProblem
from dsk.runtime import mounts
from dsk.runtime.mounts import Mount


@pytest.mark.parametrize("name", ["plain", 'a, "b"', "a=b,readonly"])
def test_any_name_is_one_field_of_dockers_option(name: str) -> None:
    option = Mount(source=Path("/in") / name, target=Path("/in") / name).option
    assert next(csv.reader([option])) == [
        "type=bind",
        f"source=/in/{name}",
        f"target=/in/{name}",
        "readonly",
    ]


def test_only_the_outputs_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    (seen,) = mounts.read_mounts([tmp_path / "a.pdf"])
    assert seen.option.endswith(",readonly")
    assert not mounts.write_mount(tmp_path).option.endswith("readonly")


def test_a_link_is_seen_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "real.pdf").touch()
    (tmp_path / "letter.pdf").symlink_to("real.pdf")
    (seen,) = mounts.read_mounts([tmp_path / "letter.pdf"])
    assert (seen.source, seen.target) == (tmp_path / "real.pdf", tmp_path / "letter.pdf")


def test_a_hubs_snapshot_brings_its_blobs_and_nothing_twice(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "c0ffee", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "f00d").touch()
    for name in ("a.json", "b.json"):
        (snapshot / name).symlink_to("../../blobs/f00d")
    (snapshot / "c.json").symlink_to("a.json")
    (snapshot / "gone.json").symlink_to("../../blobs/gone")
    assert [seen.target for seen in mounts.read_mounts([snapshot])] == [snapshot, blobs / "f00d"]


def test_of_many_files_the_folders_are_seen(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.pdf" for number in range(300)]
    for file in files:
        file.touch()
    assert [seen.target for seen in mounts.read_mounts(files)] == [tmp_path]


def test_of_a_file_whose_name_is_no_utf_8_the_folder_is_seen(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pdf"))
    file.touch()
    assert [seen.target for seen in mounts.read_mounts([file])] == [tmp_path]


@pytest.mark.parametrize("folder", ["/", "/usr", "/opt", "/tmp", "/proc"])
def test_a_folder_that_hides_what_the_image_runs_by_is_refused(folder: str) -> None:
    with pytest.raises(UsageProblem, match="choose a folder below it"):
        mounts.write_mount(Path(folder))
