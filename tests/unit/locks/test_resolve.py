"""Locking and verifying, by the real uv against an index on loopback."""

import hashlib
from pathlib import Path

import pytest
from tests.unit.conftest import Index, toy_stack, wheel

from dsk.errors import EngineMissing, MatrixInvalid, StackConflict, VerificationFailed
from dsk.locks import lock_file
from dsk.locks.resolve import admits, closure_of
from dsk.locks.verify import verify
from dsk.matrix import Stack


@pytest.fixture
def toys(index: Index) -> Index:
    index.add("engine-1.0-py3-none-any.whl", wheel("engine", "1.0", ("part<2",)))
    index.add("part-1.0-py3-none-any.whl", wheel("part", "1.0"))
    index.add("part-2.0-py3-none-any.whl", wheel("part", "2.0"))
    index.add("gear-1.0-py3-none-any.whl", wheel("gear", "1.0"))
    return index


def locked(toy: Stack) -> dict[str, str]:
    return {one.name: one.version for one in closure_of(toy)}


def write_lock(toy: Stack) -> None:
    toy.lock_file.parent.mkdir(parents=True, exist_ok=True)
    toy.lock_file.write_text(lock_file.dump(toy.id, closure_of(toy)), "utf-8")


def test_a_closure_holds_the_pins_what_they_need_and_what_dsk_needs(
    toys: Index, tmp_path: Path
) -> None:
    assert locked(toy_stack(tmp_path)) == {"engine": "1.0", "part": "1.0", "gear": "1.0"}


def test_each_package_says_who_asked_for_it(toys: Index, tmp_path: Path) -> None:
    asked = {one.name: one.via for one in closure_of(toy_stack(tmp_path, also={"gear": "a test"}))}
    assert asked == {
        "engine": ("the pins of toy",),
        "part": ("engine",),
        "gear": ("a test", "dsk-toolkit"),
    }


def test_a_contradiction_that_nothing_states_is_a_conflict(toys: Index, tmp_path: Path) -> None:
    with pytest.raises(StackConflict, match=r"stack 'toy' does not resolve: .*part.*override"):
        closure_of(toy_stack(tmp_path, pins={"engine": "1.0", "part": "2.0"}))


def test_an_override_settles_a_contradiction(toys: Index, tmp_path: Path) -> None:
    override = {
        "package": "part",
        "asked_by": "engine",
        "asks": "<2",
        "why": "a test",
        "evidence": "none",
    }
    pins = {"engine": "1.0", "part": "2.0"}
    assert locked(toy_stack(tmp_path, pins=pins, overrides=[override]))["part"] == "2.0"


def test_nothing_is_taken_that_came_after_the_day(toys: Index, tmp_path: Path) -> None:
    toys.add("gear-3.0-py3-none-any.whl", wheel("gear", "3.0"), "2025-06-01T00:00:00Z")
    toys.add("gear-2.0-py3-none-any.whl", wheel("gear", "2.0"), "2025-05-31T23:59:59Z")
    assert locked(toy_stack(tmp_path))["gear"] == "2.0"


def test_a_package_with_a_later_day_of_its_own_is_taken_until_that_day(
    toys: Index, tmp_path: Path
) -> None:
    toys.add("gear-3.0-py3-none-any.whl", wheel("gear", "3.0"), "2026-02-01T00:00:00Z")
    toys.add("gear-2.0-py3-none-any.whl", wheel("gear", "2.0"), "2026-01-31T23:59:59Z")
    toys.add("part-1.1-py3-none-any.whl", wheel("part", "1.1"), "2026-01-31T23:59:59Z")
    stack = toy_stack(tmp_path, resolve_package_before={"gear": "2026-02-01"})
    assert locked(stack) == {"engine": "1.0", "part": "1.0", "gear": "2.0"}
    assert str(stack.lock_date) == "2026-02-01"


def test_a_stack_admits_a_release_of_today_that_its_pins_allow(toys: Index, tmp_path: Path) -> None:
    toys.add("gear-2.0-py3-none-any.whl", wheel("gear", "2.0"), "2026-06-01T00:00:00Z")
    toys.add("part-1.5-py3-none-any.whl", wheel("part", "1.5"), "2026-06-01T00:00:00Z")
    stack = toy_stack(tmp_path)
    assert admits(stack, "gear", "2.0")
    assert not admits(stack, "gear", "2.1")
    assert admits(stack, "part", "1.5")
    # The engine asks for part<2.
    assert not admits(stack, "part", "1.6")
    assert not admits(stack, "part", "2.0")
    assert locked(stack)["gear"] == "1.0"


def test_an_index_without_dates_cannot_lock_and_says_why(toys: Index, tmp_path: Path) -> None:
    toys.dated = False
    with pytest.raises(EngineMissing, match="does not give the upload dates of its files"):
        closure_of(toy_stack(tmp_path))


def test_of_several_wheels_the_one_that_the_oldest_host_takes_is_locked(
    toys: Index, tmp_path: Path
) -> None:
    content = wheel("gear", "1.5")
    for platform in ("manylinux_2_17", "manylinux_2_28", "manylinux_2_34"):
        toys.add(f"gear-1.5-cp311-cp311-{platform}_x86_64.whl", content + platform.encode())
    toys.add("gear-1.5-cp311-cp311-macosx_11_0_arm64.whl", content)
    files = {one.name: one.file for one in closure_of(toy_stack(tmp_path))}
    assert files["gear"] == "gear-1.5-cp311-cp311-manylinux_2_28_x86_64.whl"


def test_a_package_that_has_only_a_source_archive_is_refused(toys: Index, tmp_path: Path) -> None:
    toys.add("bolt-1.0.tar.gz", b"never opened")
    with pytest.raises(StackConflict, match="bolt"):
        closure_of(toy_stack(tmp_path, pins={"engine": "1.0", "bolt": "1.0"}))


def test_what_was_locked_verifies(toys: Index, tmp_path: Path) -> None:
    toy = toy_stack(tmp_path)
    write_lock(toy)
    checked = list(verify(toy))
    assert {one.name: one.size for one in checked} == {
        f"{name}-1.0-py3-none-any.whl": len(toys.files[f"{name}-1.0-py3-none-any.whl"])
        for name in ("engine", "part", "gear")
    }


def test_a_source_archive_is_verified_with_the_wheels(toys: Index, tmp_path: Path) -> None:
    archive = b"flash"
    toys.add("bolt-1.0.tar.gz", archive)
    source = {
        "package": "bolt",
        "file": "bolt-1.0.tar.gz",
        "sha256": hashlib.sha256(archive).hexdigest(),
        "build": "not at all",
        "requires": ["gear"],
        "kernels": ["8.0"],
        "kernels_variable": "ARCHS",
    }
    toy = toy_stack(tmp_path, pins={"engine": "1.0", "bolt": "1.0"}, sources=[source])
    write_lock(toy)
    assert "bolt-1.0.tar.gz" in {one.name for one in verify(toy)}


def test_other_bytes_than_locked_fail_the_verification(toys: Index, tmp_path: Path) -> None:
    toy = toy_stack(tmp_path)
    write_lock(toy)
    toys.altered.add("part-1.0-py3-none-any.whl")
    with pytest.raises(VerificationFailed, match=r"part-1\.0-py3-none-any\.whl has sha256 "):
        list(verify(toy))


def test_a_file_that_the_index_no_longer_has_fails_the_verification(
    toys: Index, tmp_path: Path
) -> None:
    toy = toy_stack(tmp_path)
    write_lock(toy)
    toys.add("part-1.0-py3-none-any.whl", wheel("part", "1.0", ("gear",)))
    with pytest.raises(VerificationFailed, match=r"no file of part 1\.0 with the locked hash"):
        list(verify(toy))


def test_without_a_lock_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(MatrixInvalid, match=r"dsk matrix lock toy$"):
        list(verify(toy_stack(tmp_path)))


def test_without_a_network_the_error_is_one_line_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Port 9 of this machine: nothing listens there.
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EngineMissing) as caught:
        closure_of(toy_stack(tmp_path))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(caught.value).endswith("check the network, or set pip's index-url")
