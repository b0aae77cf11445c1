"""`dsk model`, against a server on loopback that speaks the hub's interface."""

import hashlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_hub import LARGE, MODEL, OTHER, WEIGHTS, Hub, serving

from dsk import paths
from dsk.cli import main
from dsk.errors import EngineMissing, MatrixInvalid, UsageProblem, VerificationFailed
from dsk.hub import store
from dsk.hub.fetch import fetch
from dsk.models.reference import resolve


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path) as hub:
        yield hub


def fetched(revision: str = MODEL.revision) -> store.RevisionRecord:
    pins = MODEL.files if revision == MODEL.revision else None
    return fetch(MODEL.hub, revision, pins=pins, report=lambda _: None)


def dsk(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["dsk", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code if isinstance(left.value.code, int) else 0


def test_a_model_that_was_fetched_is_found_without_a_network(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dsk("model", "fetch", monkeypatch=monkeypatch) == 0
    folder = Path(capfd.readouterr().out.strip())
    assert (folder / WEIGHTS).read_bytes() == LARGE
    assert (folder / "modeling" / "code.py").read_bytes() == b"print()\n"

    hub.asked.clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert dsk("model", "status", "--hashes", monkeypatch=monkeypatch) == 0
    said = capfd.readouterr()
    assert f"{MODEL.hub} at {MODEL.revision} (pinned): 4 files" in said.out
    assert resolve(MODEL.hub).locate() == folder.resolve()
    assert "warning" not in capfd.readouterr().err
    assert hub.asked == []


def test_huggingface_hub_itself_finds_it_too(hub: Hub) -> None:
    from huggingface_hub import hf_hub_download

    record = fetched()
    found = hf_hub_download(
        MODEL.hub, WEIGHTS, revision=MODEL.revision, cache_dir=store.cache(), local_files_only=True
    )
    assert Path(found) == store.snapshot(MODEL.hub, record.commit) / WEIGHTS


def test_a_transfer_that_breaks_off_goes_on_where_it_did(hub: Hub) -> None:
    hub.breaks[WEIGHTS] = [600_000, 100_000]
    record = fetched()
    assert store.faults(record, hashes=True) == []
    first, second, third = hub.ranges(WEIGHTS)
    assert first == ""
    begun = [int(piece.removeprefix("bytes=").rstrip("-")) for piece in (second, third)]
    assert 0 < begun[0] <= 600_000
    assert begun[0] < begun[1] <= begun[0] + 100_000


def test_a_fetch_that_died_is_gone_on_with_by_the_next_one(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = store.storage(MODEL.hub) / "blobs" / f"{hub.digest(WEIGHTS)}.dsk-part"
    part.parent.mkdir(parents=True)
    part.write_bytes(LARGE[:777_777])
    fetched()
    assert hub.ranges(WEIGHTS) == ["bytes=777777-"]
    assert not part.exists()


def test_a_hub_that_gives_nothing_more_is_told_with_how_far_it_came(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.breaks[WEIGHTS] = [500_000, *[0] * 100]
    with pytest.raises(
        EngineMissing, match=rf"broke off after \d+ of {len(LARGE)} .*again to resume"
    ):
        fetched()
    hub.breaks.clear()
    assert store.faults(fetched(), hashes=True) == []


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (LARGE[::-1], "came with the hash"),
        (LARGE + b"more", f"came with more than {len(LARGE)} bytes"),
    ],
)
def test_other_bytes_than_the_hub_lists_are_refused(
    hub: Hub, served: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.served[WEIGHTS] = served
    with pytest.raises(VerificationFailed, match=said):
        fetched()
    assert not list((store.storage(MODEL.hub) / "blobs").glob("*.dsk-part"))
    assert dsk("model", "status", monkeypatch=monkeypatch) == 10
    hub.served.clear()
    fetched()
    assert dsk("model", "status", "--hashes", monkeypatch=monkeypatch) == 0


def test_what_is_whole_is_not_fetched_again_and_what_the_disk_spoilt_is(hub: Hub) -> None:
    record = fetched()
    hub.asked.clear()
    fetched()
    assert hub.ranges(WEIGHTS) == []
    blob = (store.snapshot(MODEL.hub, record.commit) / WEIGHTS).resolve()
    blob.write_bytes(LARGE[:-1] + b"!")
    assert store.faults(record, hashes=False) == []
    (fault,) = store.faults(record, hashes=True)
    assert fault.startswith(f"{WEIGHTS} has the hash")
    fetched()
    assert hub.ranges(WEIGHTS) == [""]
    assert store.faults(record, hashes=True) == []


def test_a_model_that_is_not_whole_cannot_be_run(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record = fetched()
    (store.snapshot(MODEL.hub, record.commit) / "modeling" / "code.py").unlink()
    with pytest.raises(MatrixInvalid, match=r"modeling/code\.py is missing: dsk model fetch"):
        resolve(MODEL.hub).locate()
    assert dsk("model", "status", monkeypatch=monkeypatch) == 10
    assert "modeling/code.py is missing" in capfd.readouterr().out


def test_another_revision_is_run_only_by_name_and_with_a_warning(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dsk("model", "fetch", "--revision", "main", monkeypatch=monkeypatch) == 0
    assert f"is not the pinned revision {MODEL.revision}" in capfd.readouterr().err
    assert dsk("model", "status", "--revision", "main", monkeypatch=monkeypatch) == 0
    assert "NOT the pinned revision" in capfd.readouterr().out
    with pytest.raises(MatrixInvalid, match=r"is not on this machine: dsk model fetch$"):
        resolve(MODEL.hub).locate()
    assert resolve(f"{MODEL.hub}@main").locate().name == OTHER
    assert "is not at a revision that the matrix pins" in capfd.readouterr().err


@pytest.mark.parametrize("revision", ["v9", "c" * 40])
def test_a_revision_that_the_hub_does_not_have_is_a_usage_problem(hub: Hub, revision: str) -> None:
    with pytest.raises(UsageProblem, match=f"has no revision '{revision}'"):
        fetched(revision)


def test_a_revision_that_is_a_path_is_refused_before_anything_is_asked(hub: Hub) -> None:
    with pytest.raises(UsageProblem, match="is not a revision"):
        fetched("../../elsewhere")
    assert hub.asked == []


def test_an_unknown_model_is_a_usage_problem(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageProblem, match="the hub has no model nobody/nothing"):
        fetch("nobody/nothing", "main", report=lambda _: None)
    assert dsk("model", "fetch", "--model", "nothing", monkeypatch=monkeypatch) == 2


def test_offline_nothing_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineMissing, match="HF_HUB_OFFLINE is set"):
        fetched()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(EngineMissing, match="the hub cannot be reached"):
        fetched()


def test_a_hub_that_lists_no_hashes_is_not_believed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "digest", lambda *_: "")
    with pytest.raises(VerificationFailed, match="without their hashes"):
        fetched()
    assert hub.asked == []


def test_a_cache_that_cannot_be_made_is_a_usage_problem(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageProblem, match="cannot be created"):
        fetched()


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsk.hub.fetch._SPARE", 1 << 60)
    with pytest.raises(
        EngineMissing, match="are free: set HF_HUB_CACHE to a folder on another disk"
    ):
        fetched()
    assert hub.asked == []


def test_a_maintainer_records_what_was_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "models.toml"
    text = (paths.compat() / "models.toml").read_text("utf-8")
    head, _, rest = text.partition("[deepseek-ocr.files]\n")
    table = "".join(f'"{path}" = {{}}\n' for path in hub.files)
    file.write_text(
        f"{head}[deepseek-ocr.files]\n{table}{rest[rest.index(chr(10) * 2) :]}", "utf-8"
    )
    monkeypatch.setattr("dsk.paths.compat", lambda: tmp_path)
    assert dsk("model", "fetch", "--record", monkeypatch=monkeypatch) == 0
    recorded = tomllib.loads(file.read_text("utf-8"))["deepseek-ocr"]
    for path, content in hub.files.items():
        sha256 = hashlib.sha256(content).hexdigest()
        assert recorded["files"][path] == {"size": len(content), "sha256": sha256}
    assert dsk("model", "fetch", "--record", "--revision", "main", monkeypatch=monkeypatch) == 2


def test_files_without_a_pinned_hash_are_named(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dsk("model", "fetch", monkeypatch=monkeypatch) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert "pins no hash of config.json, model.safetensors.index.json:" in said


def test_a_model_of_no_known_revision_is_fetched_and_its_commit_recorded(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "models.toml"
    text = (paths.compat() / "models.toml").read_text("utf-8")
    head, _, rest = text.partition("[deepseek-ocr.files]\n")
    table = "".join(f'"{path}" = {{}}\n' for path in hub.files)
    unknown = head.replace(f'revision = "{MODEL.revision}"\n', "", 1)
    assert unknown != head
    rest = rest[rest.index("\n\n") :]
    file.write_text(f"{unknown}[deepseek-ocr.files]\n{table}{rest}", "utf-8")
    monkeypatch.setenv("DSK_COMPAT", str(tmp_path))
    assert dsk("model", "status", monkeypatch=monkeypatch) == 10
    capfd.readouterr()

    assert dsk("model", "fetch", monkeypatch=monkeypatch) == 0
    said = capfd.readouterr()
    assert Path(said.out.strip()).name == OTHER
    warning = " ".join(said.err.split())
    assert f"pins no revision of {MODEL.hub}: {OTHER} is what the hub's main is now" in warning
    assert resolve(MODEL.id).locate().name == OTHER
    capfd.readouterr()
    assert dsk("model", "status", monkeypatch=monkeypatch) == 0
    assert "models.toml pins no revision" in capfd.readouterr().out

    assert dsk("model", "fetch", "--record", monkeypatch=monkeypatch) == 0
    recorded = tomllib.loads(file.read_text("utf-8"))["deepseek-ocr"]
    assert recorded["revision"] == OTHER
    content = hub.files["config.json"]
    assert recorded["files"]["config.json"]["sha256"] == hashlib.sha256(content).hexdigest()
