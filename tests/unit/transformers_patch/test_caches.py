"""`dsk patch status|apply|revert` on caches: the very bytes come back."""

import hashlib
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dsk import models
from dsk.cli.patch import command
from dsk.errors import UsageProblem, VerificationFailed
from dsk.transformers_patch import caches, detection

CODE = Path(__file__).resolve().parents[2] / "integration" / "patch" / "remote_code"


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A hub cache: a snapshot of links into blobs, and somebody else's model."""
    model = tmp_path / "hub" / "models--someone--shelf"
    snapshot = model / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (model / "blobs").mkdir()
    for path in CODE.glob("*.py"):
        blob = model / "blobs" / hashlib.sha1(path.read_bytes()).hexdigest()
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    other = tmp_path / "hub" / "models--other--one" / "snapshots" / "9"
    other.mkdir(parents=True)
    (other / "modeling_one.py").write_text("import matplotlib\n")
    return tmp_path / "hub"


def tree(folder: Path) -> dict[str, tuple[str, bytes]]:
    return {
        str(path.relative_to(folder)): (
            str(path.readlink()) if path.is_symlink() else "",
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def states(folder: Path) -> dict[str, str]:
    return {file.path.name: file.state for file in caches.status(folder)}


def test_status_sees_the_model_s_files_and_nobody_else_s(hub: Path) -> None:
    assert states(hub) == {
        "configuration_shelf.py": "to patch",
        "modeling_shelf.py": "to patch",
        "modeling_shelf2.py": "no need",
        "modeling_shelf_decoder.py": "to patch",
        "modeling_shelf_window.py": "to patch",
        "shelf_encoder.py": "to patch",
        "shelf_tower.py": "no need",
    }


def test_apply_patches_and_revert_brings_back_bytes_and_links(hub: Path) -> None:
    before = tree(hub)
    assert len(caches.apply(hub)) == 5
    assert set(states(hub).values()) == {"patched", "no need"}
    blobs = {name: found for name, found in tree(hub).items() if "/blobs/" in name}
    assert blobs == {name: found for name, found in before.items() if "/blobs/" in name}
    assert len(caches.revert(hub)) == 5
    assert tree(hub) == before


def test_applying_again_does_nothing(hub: Path) -> None:
    caches.apply(hub)
    after = tree(hub)
    assert caches.apply(hub) == []
    assert tree(hub) == after


def test_a_file_of_another_dsk_is_patched_anew_from_its_original(hub: Path) -> None:
    caches.apply(hub)
    file = next(hub.rglob("modeling_shelf.py"))
    file.write_bytes(
        file.read_bytes().replace(b"Patched by dsk ", b"Patched by dsk 000000000000 ", 1)
    )
    file.write_bytes(
        detection.header("0" * 12, (CODE / "modeling_shelf.py").read_bytes()) + b"old = True\n"
    )
    assert states(hub)["modeling_shelf.py"] == "outdated"
    caches.apply(hub)
    assert states(hub)["modeling_shelf.py"] == "patched"
    assert b"old = True" not in file.read_bytes()


def test_transformers_own_copy_of_a_patched_file_is_removed(hub: Path, tmp_path: Path) -> None:
    caches.apply(hub)
    copies = tmp_path / "modules" / "transformers_modules" / "shelf"
    copies.mkdir(parents=True)
    for path in next(hub.rglob("0123abcd")).glob("*.py"):
        shutil.copy(path, copies)
    assert len(caches.revert(tmp_path / "modules")) == 5
    left = {path.name for path in copies.glob("*.py")}
    assert left == {"modeling_shelf2.py", "shelf_tower.py"}


def test_a_changed_original_is_not_brought_back(hub: Path) -> None:
    caches.apply(hub)
    beside = next(hub.rglob("modeling_shelf.py" + detection.ORIGINAL_SUFFIX))
    beside.unlink()
    beside.write_text("something else")
    with pytest.raises(VerificationFailed, match="is not the original"):
        caches.revert(hub)


def test_a_read_only_cache_is_said_to_be(hub: Path) -> None:
    next(hub.rglob("0123abcd")).chmod(0o555)
    with pytest.raises(UsageProblem, match="cannot be written to"):
        caches.apply(hub)


def test_no_such_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no such folder"):
        caches.status(tmp_path / "nowhere")


def test_the_command_line_applies_reports_and_reverts(hub: Path) -> None:
    run = CliRunner().invoke
    before = tree(hub)
    applied = run(command, ["apply", "--cache", str(hub)])
    assert applied.output.count("patched: ") == 5
    status = run(command, ["status", "--cache", str(hub)])
    assert "5 patched" in status.output
    reverted = run(command, ["revert", "--cache", str(hub)])
    assert reverted.output.count("reverted: ") == 5
    assert tree(hub) == before


def test_an_outdated_file_is_not_patched_from_what_is_not_its_original(hub: Path) -> None:
    caches.apply(hub)
    (patched,) = hub.rglob("modeling_shelf.py")
    revision, _ = detection.read_header(patched.read_bytes()) or ("", "")
    patched.write_bytes(patched.read_bytes().replace(revision.encode(), b"0" * len(revision)))
    assert states(hub)["modeling_shelf.py"] == "outdated"
    original = patched.with_name(patched.name + detection.ORIGINAL_SUFFIX)
    forged = original.read_bytes() + b"import os; os.system('id')\n"
    original.unlink()
    original.write_bytes(forged)
    before = patched.read_bytes()
    with pytest.raises(VerificationFailed, match=r"is not the original of modeling_shelf\.py"):
        caches.apply(hub)
    assert patched.read_bytes() == before


def test_status_names_models_files_and_releases_and_files_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (CODE / "modeling_shelf_decoder.py").read_bytes()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling_deepseekv2.py").write_bytes(source)
    pins = models.default().record.files
    known = pins["modeling_deepseekv2.py"].model_copy(update={"sha256": detection.sha256(source)})
    monkeypatch.setitem(pins, "modeling_deepseekv2.py", known)
    status = CliRunner().invoke(command, ["status", "--cache", str(folder)]).output
    for profile in models.profiles().values():
        code = [name for name in profile.record.files if name.endswith(".py")]
        assert f"{profile.hub} ({', '.join(code)}): proved with transformers 4.46.3 to " in status
    assert f"modeling_deepseekv2.py  as published: {models.default().hub}\n" in status
