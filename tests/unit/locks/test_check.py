"""`dsk matrix check`: faults planted in a stack or its lock, read from wheels on a real index."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from tests.unit.conftest import Index, toy_stack, wheel

from dsk import paths
from dsk.cli import main
from dsk.errors import EngineMissing
from dsk.locks import lock_file
from dsk.locks.check import LockCheck, check
from dsk.locks.resolve import closure_of
from dsk.matrix import Stack, load_matrix
from dsk.matrix.load import _load

CUDA_12, CUDA_13 = (b"\x7fELF" + soname for soname in (b"libcudart.so.12\0", b"libcudart.so.13\0"))
PINS = {"vllm": "0.8.5", "torch": "2.6.0", "transformers": "4.46.3"}
OVERRIDE = {
    "package": "transformers",
    "asked_by": "vllm",
    "asks": ">=4.51.1",
    "why": "a test",
    "evidence": "none",
}


def put(index: Index, name: str, version: str, *requires: str, **more: object) -> None:
    content = wheel(name, version, requires, **more)  # type: ignore[arg-type]
    index.add(f"{name.replace('-', '_')}-{version}-py3-none-any.whl", content)


@pytest.fixture
def engines(index: Index) -> Index:
    put(index, "vllm", "0.8.5", "torch==2.6.0", "transformers>=4.51.1", library=CUDA_12)
    put(index, "torch", "2.6.0", "nvidia-cuda-runtime-cu12==12.4.127", library=CUDA_12)
    put(index, "torch", "2.7.0", "nvidia-cuda-runtime-cu12==12.4.127", library=CUDA_12)
    put(index, "transformers", "4.46.3", "filelock; python_version >= '3.9'")
    put(index, "filelock", "3.20.0", "win32ctypes; sys_platform == 'win32'")
    put(index, "gear", "1.0")
    put(index, "nvidia-cuda-runtime-cu12", "12.4.127")
    put(index, "nvidia-cuda-runtime-cu13", "13.0.96")
    return index


def locked_stack(tmp_path: Path, **changes: object) -> Stack:
    """A stack, and its lock by the real uv."""
    made = toy_stack(tmp_path, **({"pins": PINS, "overrides": [OVERRIDE]} | changes))
    made.lock_file.parent.mkdir(exist_ok=True)
    made.lock_file.write_text(lock_file.dump(made.id, closure_of(made)), "utf-8")
    return made


def without_overrides(stack: Stack) -> Stack:
    return stack.model_copy(update={"overrides": ()})


def edited(stack: Stack, old: str, new: str) -> Stack:
    text = stack.lock_file.read_text("utf-8")
    assert old in text
    stack.lock_file.write_text(text.replace(old, new), "utf-8")
    return stack


def sha256_of(stack: Stack, name: str) -> str:
    return next(one.sha256 for one in lock_file.parse(stack.lock_file) if one.name == name)


def test_a_stack_whose_contradiction_is_stated_is_sound(engines: Index, tmp_path: Path) -> None:
    assert check(locked_stack(tmp_path)) == LockCheck(
        faults=[],
        summary=(
            "6 packages, every requirement is met or is one of 1 stated overrides;"
            " CUDA 12 throughout"
        ),
    )


def test_transformers_below_what_vllm_asks_is_found_without_an_override(
    engines: Index, tmp_path: Path
) -> None:
    (fault,) = check(without_overrides(locked_stack(tmp_path))).faults
    assert fault == (
        "vllm 0.8.5 requires transformers>=4.51.1, the lock has 4.46.3:"
        " state an override, or change the pins"
    )


def test_a_torch_that_vllm_was_not_built_with_is_found(engines: Index, tmp_path: Path) -> None:
    torch = OVERRIDE | {"package": "torch", "asks": "==2.6.0"}
    stack = locked_stack(tmp_path, pins=PINS | {"torch": "2.7.0"}, overrides=[OVERRIDE, torch])
    assert check(stack).faults == []
    (fault,) = check(stack.model_copy(update={"overrides": stack.overrides[:1]})).faults
    assert fault == (
        "vllm 0.8.5 requires torch==2.6.0, the lock has 2.7.0:"
        " state an override, or change the pins"
    )


def test_pins_that_the_lock_does_not_follow_are_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    newer = stack.model_copy(update={"pins": PINS | {"torch": "2.7.0"}})
    assert check(newer).faults == [
        "torch is pinned to 2.7.0, the lock has 2.6.0: dsk matrix lock toy"
    ]


def test_a_needless_override_is_found(engines: Index, tmp_path: Path) -> None:
    needless = OVERRIDE | {"package": "torch", "asks": "==2.5.1"}
    stack = locked_stack(tmp_path, overrides=[OVERRIDE, needless])
    assert check(stack).faults == [
        "the override for torch is needless: vllm requires nothing that 2.6.0 does not meet"
    ]


def test_an_override_that_quotes_another_demand_does_not_count(
    engines: Index, tmp_path: Path
) -> None:
    stack = locked_stack(tmp_path, overrides=[OVERRIDE | {"asks": ">=4.50"}])
    (fault,) = check(stack).faults
    assert fault.startswith("vllm 0.8.5 requires transformers>=4.51.1, the lock has 4.46.3")


def test_a_hash_that_no_file_has_is_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    wrong = "0" * 64
    edited(stack, sha256_of(stack, "torch"), wrong)
    assert check(stack).faults == [f"torch 2.6.0: the index has no file with the sha256 {wrong}"]


def test_a_hash_that_another_file_has_is_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    check(stack)
    other = sha256_of(stack, "gear")
    edited(stack, sha256_of(stack, "torch"), other)
    assert (
        f"torch 2.6.0: the sha256 {other} is that of gear-1.0-py3-none-any.whl"
        in check(stack).faults
    )


def test_cuda_12_and_13_in_one_lock_are_found(engines: Index, tmp_path: Path) -> None:
    put(engines, "torch", "2.6.0", "nvidia-cuda-runtime-cu13", library=CUDA_13)
    (fault,) = check(locked_stack(tmp_path)).faults
    assert fault == (
        "CUDA of several majors in one process: 12: vllm's libraries;"
        " 13: nvidia-cuda-runtime-cu13, torch's libraries"
    )


@pytest.mark.parametrize(("cuda", "devel"), [("13.0", "12.4.1"), ("12.4", "13.0.1")])
def test_cuda_of_the_floor_and_of_the_building_image_must_agree(
    engines: Index, tmp_path: Path, cuda: str, devel: str
) -> None:
    gpu = load_matrix().stack("v0").gpu
    assert gpu
    floors = gpu.model_copy(update={"cuda": cuda})
    stack = locked_stack(tmp_path).model_copy(update={"device": "cuda", "gpu": floors})
    base = f"nvidia/cuda:{devel}"
    image = {"runtime": f"{base}-base", "devel": f"{base}-devel", "packages": ["gcc"]}
    built = toy_stack(tmp_path, image=image)
    (fault,) = check(stack.model_copy(update={"image": built.image})).faults
    assert fault.startswith("CUDA of several majors")


def on_a_card(stack: Stack, tmp_path: Path, **image: str) -> Stack:
    """The stack for cards of CUDA 12, its images with it."""
    made = toy_stack(tmp_path, image={"packages": ["gcc"], **image}).image
    cuda_12 = {"device": "cuda", "gpu": load_matrix().stack("v0").gpu, "image": made}
    return stack.model_copy(update=cuda_12)


RUNTIME, DEVEL = "nvidia/cuda:12.4.1-base-ubuntu22.04", "nvidia/cuda:12.4.1-devel-ubuntu22.04"


def test_cuda_of_the_image_that_a_stack_runs_in_must_agree(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    assert check(on_a_card(stack, tmp_path, runtime=RUNTIME)).faults == []
    older = RUNTIME.replace("12.4.1", "11.8.0")
    (fault,) = check(on_a_card(stack, tmp_path, runtime=older)).faults
    assert fault.startswith("CUDA of several majors in one process: 11: the image that it runs in;")


def test_a_package_with_a_flavour_for_each_cuda_loads_the_stack_s(
    engines: Index, tmp_path: Path
) -> None:
    put(engines, "transformers", "4.46.3", "filelock", "toy-libs-cu12", "toy-libs-cu13")
    put(engines, "toy-libs-cu12", "1.0")
    put(engines, "toy-libs-cu13", "1.0")
    assert check(on_a_card(locked_stack(tmp_path), tmp_path, runtime=RUNTIME)).faults == []
    # Of another version, or wanted by somebody else, it is no flavour.
    put(engines, "toy-libs-cu13", "1.1")
    (fault,) = check(on_a_card(locked_stack(tmp_path), tmp_path, runtime=RUNTIME)).faults
    assert "; 13: toy-libs-cu13" in fault
    put(engines, "transformers", "4.46.3", "filelock", "toy-libs-cu12")
    put(engines, "filelock", "3.20.0", "toy-libs-cu13==1.0")
    (fault,) = check(on_a_card(locked_stack(tmp_path), tmp_path, runtime=RUNTIME)).faults
    assert "; 13: toy-libs-cu13" in fault


@pytest.mark.parametrize("name", ["torch", "vllm"])
def test_a_build_for_a_cpu_in_a_stack_for_a_card_is_found(
    engines: Index, tmp_path: Path, name: str
) -> None:
    demands = {"torch": ["nvidia-cuda-runtime-cu12"], "vllm": ["transformers>=4.51.1"]}
    put(engines, name, PINS[name], *demands[name])
    stack = locked_stack(tmp_path)
    assert check(stack).faults == []
    assert check(on_a_card(stack, tmp_path, runtime=RUNTIME)).faults == [
        f"{name} {PINS[name]}: its libraries are linked with no CUDA, and the stack is for a GPU"
    ]


ARCHIVE = "sprocket-1.0.tar.gz"


def with_source(stack: Stack, sha256: str) -> Stack:
    """The stack with a package that is compiled, its sha256 as said."""
    source = {"package": "sprocket", "file": ARCHIVE, "sha256": sha256, "requires": []}
    more = {"build": "a test", "kernels": ["8.0"], "kernels_variable": "ARCHS"}
    changes = {"pins": PINS | {"sprocket": "1.0"}, "overrides": [OVERRIDE]}
    made = toy_stack(stack.folder, **changes, sources=[source | more])
    return stack.model_copy(update={"pins": made.pins, "sources": made.sources})


def test_an_archive_of_another_hash_than_the_index_s_is_found(
    engines: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.add(ARCHIVE, b"sources")
    right, wrong = hashlib.sha256(b"sources").hexdigest(), "0" * 64
    stack, wheels_own = locked_stack(tmp_path), "gear-1.0-py3-none-any.whl"
    assert check(with_source(stack, right)).faults == []
    assert check(with_source(stack, wrong)).faults == [
        f"sprocket 1.0: the index has no file with the sha256 {wrong}"
    ]
    engines.add("sprocket-1.0-py3-none-any.whl", engines.files[wheels_own])
    other = hashlib.sha256(engines.files[wheels_own]).hexdigest()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    assert check(with_source(stack, other)).faults == [
        f"sprocket 1.0: the sha256 {other} is that of sprocket-1.0-py3-none-any.whl"
    ]
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    assert check(with_source(stack, right)).faults == []


@pytest.mark.parametrize("devel", ["mine/compiler:latest", None])
def test_a_compiler_of_no_known_cuda_is_found(
    engines: Index, tmp_path: Path, devel: str | None
) -> None:
    engines.add(ARCHIVE, b"sources")
    stack = with_source(locked_stack(tmp_path), hashlib.sha256(b"sources").hexdigest())
    assert check(on_a_card(stack, tmp_path, runtime=RUNTIME, devel=DEVEL)).faults == []
    named = {"devel": devel} if devel else {}
    (fault,) = check(on_a_card(stack, tmp_path, runtime=RUNTIME, **named)).faults
    assert fault == (
        f"image.devel is {devel or 'not given'}:"
        " its name does not show the CUDA that compiles sprocket"
    )


def test_a_wheel_for_another_python_is_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    edited(stack, "torch-2.6.0-py3-none-any.whl", "torch-2.6.0-cp312-cp312-linux_x86_64.whl")
    assert check(stack).faults[0] == (
        "torch 2.6.0: torch-2.6.0-cp312-cp312-linux_x86_64.whl is not for"
        " Python 3.11, glibc 2.31 on x86_64"
    )


def test_a_demand_for_another_python_is_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    old = sha256_of(stack, "gear")
    put(engines, "gear", "1.0", python=">=3.12")
    new = hashlib.sha256(engines.files["gear-1.0-py3-none-any.whl"]).hexdigest()
    edited(stack, old, new)
    shutil.rmtree(tmp_path / "cache")
    assert check(stack).faults == ["gear 1.0: it requires Python >=3.12, the stack has 3.11"]


def test_what_is_asked_and_not_locked_is_found(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    text = stack.lock_file.read_text("utf-8")
    begin, end = text.index("filelock=="), text.index("gear==")
    edited(stack, text[begin:end], "")
    assert check(stack).faults == ["transformers 4.46.3 requires filelock, the lock lacks it"]


def test_an_extra_that_somebody_asks_for_brings_its_demands(index: Index, tmp_path: Path) -> None:
    put(index, "engine", "1.0", "part[fast]>=1")
    put(index, "part", "1.0", "gear>=1; extra == 'fast'", "bolt; extra == 'slow'")
    put(index, "gear", "1.0")
    stack = locked_stack(tmp_path, pins={"engine": "1.0"}, overrides=[])
    assert check(stack).faults == []
    edited(stack, "gear==1.0", "gear==0.9")
    assert "part 1.0 requires gear>=1, the lock has 0.9: state an override, or change the pins" in (
        check(stack).faults
    )


def test_what_dsk_itself_needs_is_asked_too(engines: Index, tmp_path: Path) -> None:
    stack = locked_stack(tmp_path)
    put(engines, "gear", "0.5")
    edited(stack, "gear==1.0", "gear==0.5")
    assert (
        "dsk-toolkit requires gear>=1, the lock has 0.5: state an override, or change the pins"
        in (check(stack).faults)
    )


def test_after_the_first_time_no_network_is_needed(
    engines: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = locked_stack(tmp_path)
    first = check(stack)
    engines.asked.clear()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    assert check(stack) == first
    assert engines.asked == []


def test_the_first_time_without_a_network_says_so(
    engines: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = locked_stack(tmp_path)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(EngineMissing, match="check the network"):
        check(stack)


@pytest.mark.parametrize("beside", [True, False])
def test_metadata_is_read_beside_the_wheel_or_from_inside_it(
    engines: Index, tmp_path: Path, beside: bool
) -> None:
    stack = locked_stack(tmp_path)
    engines.beside = beside
    engines.asked.clear()
    assert check(stack).faults == []
    whole = "/files/filelock-3.20.0-py3-none-any.whl" in engines.asked
    assert whole is not beside


def test_conflicts_are_exit_code_5_and_named_one_by_one(
    engines: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "compat"
    shutil.copytree(paths.CHECKOUT / "compat", folder)
    for file in (folder / "stacks").iterdir():
        file.unlink()
    stack = locked_stack(tmp_path)
    (folder / "locks" / "toy.txt").write_text(stack.lock_file.read_text("utf-8"), "utf-8")
    pins = "".join(f'{name} = "{version}"\n' for name, version in PINS.items())
    (folder / "stacks" / "toy.toml").write_text(
        'summary = "for a test"\nrank = 1\nengine = "V1"\ndevice = "cpu"\npython = "3.11"\n'
        f"resolve_before = 2025-06-01\n[pins]\n{pins}[settings]\n"
        '[host]\narch = ["x86_64"]\nglibc = "2.31"\n',
        "utf-8",
    )
    monkeypatch.setenv("DSK_COMPAT", str(folder))
    _load.cache_clear()
    monkeypatch.setattr(sys, "argv", ["dsk", "matrix", "check"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 5
    errors = capfd.readouterr().err
    assert "toy: vllm 0.8.5 requires transformers>=4.51.1" in errors
    assert "toy: vLLM 0.8.5 starts its V0 engine, stack toy is for V1" in errors


@pytest.mark.network
@pytest.mark.parametrize("name", sorted(load_matrix().stacks))
def test_the_committed_stacks_are_sound(name: str) -> None:
    assert check(load_matrix().stack(name)).faults == []


@pytest.mark.network
def test_the_working_recipe_is_not_sound_without_its_overrides() -> None:
    found = check(without_overrides(load_matrix().stack("v0"))).faults
    assert [fault.split(":")[0] for fault in found] == [
        "vllm 0.8.5 requires transformers>=4.51.1, the lock has 4.46.3",
        "vllm 0.8.5 requires tokenizers>=0.21.1, the lock has 0.20.3",
    ]
