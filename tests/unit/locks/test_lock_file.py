"""The committed locks: whole, hashed, without an index address, and in step with the stacks."""

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename

from dsk.errors import MatrixInvalid
from dsk.locks import lock_file
from dsk.matrix import Stack, load_matrix

STACKS = load_matrix().stacks


@pytest.fixture(params=sorted(STACKS))
def stack(request: pytest.FixtureRequest) -> Stack:
    return STACKS[request.param]


def test_every_pin_is_in_the_lock_at_its_version(stack: Stack) -> None:
    locked = {one.name: one.version for one in lock_file.parse(stack.lock_file)}
    assert {name: locked.get(name) for name in stack.wheel_pins} == stack.wheel_pins


def test_what_is_built_from_source_is_not_in_the_lock(stack: Stack) -> None:
    locked = {one.name for one in lock_file.parse(stack.lock_file)}
    assert not locked & {source.package for source in stack.sources}


def test_what_a_source_build_needs_is_in_the_lock(stack: Stack) -> None:
    locked = {one.name for one in lock_file.parse(stack.lock_file)}
    for source in stack.sources:
        assert set(source.requires) <= locked


def test_the_core_of_dsk_is_in_the_lock(stack: Stack) -> None:
    locked = {one.name for one in lock_file.parse(stack.lock_file)}
    assert {"click", "pydantic", "pymupdf", "pillow", "numpy", "rich", "uv"} <= locked


def test_no_lock_names_an_index_or_a_folder(stack: Stack) -> None:
    text = stack.lock_file.read_text("utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    assert not re.search(r"(^|\s)/", text)


def test_every_package_has_one_hash_one_wheel_and_someone_who_asked(stack: Stack) -> None:
    packages = lock_file.parse(stack.lock_file)
    text = stack.lock_file.read_text("utf-8")
    assert text.count("--hash=sha256:") == len(packages) == len({one.name for one in packages})
    for one in packages:
        assert re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert one.via
        assert all(one.via)


def test_every_wheel_is_for_the_stack_s_python_and_platform(stack: Stack) -> None:
    for one in lock_file.parse(stack.lock_file):
        name, version, _, tags = parse_wheel_filename(one.file)
        assert name == one.name
        assert version in SpecifierSet(f"=={one.version}", prereleases=True)
        assert any(
            tag.platform == "any"
            or (tag.platform.startswith(("manylinux", "linux")) and tag.platform.endswith("x86_64"))
            for tag in tags
        )
        interpreters = {tag.interpreter for tag in tags if tag.abi != "abi3"}
        assert not interpreters or any(
            re.fullmatch(r"cp311|py3([0-9]|10|11)?", interpreter) for interpreter in interpreters
        )


def test_a_lock_is_written_back_byte_for_byte(stack: Stack) -> None:
    text = stack.lock_file.read_text("utf-8")
    assert lock_file.dump(stack.base, lock_file.parse(stack.lock_file)) == text


def test_v0_and_its_cpu_twin_run_the_same_packages() -> None:
    one, other = (
        {package.name: package.version for package in lock_file.parse(STACKS[name].lock_file)}
        for name in ("v0", "cpu-v0")
    )
    differing = {name for name in one.keys() & other if one[name] != other[name]}
    assert differing <= {"fsspec"}  # datasets, which only the CPU build asks for, holds it


def test_the_cuda_libraries_of_a_lock_are_of_one_major(stack: Stack) -> None:
    # CUDA's own: nvidia-cutlass-dsl carries a flavour for each CUDA, of which one is loaded.
    locked = {one.name for one in lock_file.parse(stack.lock_file) if "-cutlass-" not in one.name}
    majors = {found[1] for name in locked if (found := re.search(r"-cu(\d\d)$", name))}
    assert len(majors) <= 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("--hash=sha256:", "--hash=md5:", 1),
        lambda text: text + "torch==2.6.0\n",
        lambda text: text.replace("    # via ", "    # for ", 1),
        lambda text: text.replace("==", ">=", 1),
    ],
)
def test_a_lock_that_was_edited_is_refused_with_its_line(spoil, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "v0.txt"
    file.write_text(spoil(STACKS["v0"].lock_file.read_text("utf-8")), "utf-8")
    with pytest.raises(MatrixInvalid, match=r"v0\.txt, line \d+: found .*dsk matrix lock v0"):
        lock_file.parse(file)
