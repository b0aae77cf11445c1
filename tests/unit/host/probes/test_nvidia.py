"""NVML raising each of its errors, hanging, crashing, talking nonsense: always an answer."""

import shutil
import time
import types
from pathlib import Path
from typing import Any

import pynvml
import pytest

from dsk.doctor.check import CheckContext, run_checks
from dsk.doctor.checks import gpu
from dsk.host import nvml_client
from dsk.host.facts import Facts, Nvidia
from dsk.host.probes import nvidia, system, undescribed
from dsk.matrix import load_matrix

ERRORS = sorted(
    value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_") and value
)
GIB = 2**30
ANSWERS: dict[str, Any] = {
    "nvmlInit": None,
    "nvmlShutdown": None,
    "nvmlSystemGetDriverVersion": "560.35.03",
    "nvmlSystemGetCudaDriverVersion_v2": 12060,
    "nvmlDeviceGetCount": 1,
    "nvmlDeviceGetHandleByIndex": object(),
    "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=24 * GIB, free=23 * GIB),
    "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
    "nvmlDeviceGetCudaComputeCapability": (8, 9),
    "nvmlDeviceGetComputeRunningProcesses": [
        types.SimpleNamespace(pid=4242, usedGpuMemory=GIB // 2)
    ],
    "nvmlDeviceGetGraphicsRunningProcesses": [types.SimpleNamespace(pid=9, usedGpuMemory=None)],
    "nvmlSystemGetProcessName": "/home/jane/venv/bin/python3 secret.py",
    "nvmlDeviceGetMigMode": [0, 0],
    "nvmlDeviceGetTotalEccErrors": 0,
}
OF_A_CARD = (
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetName",
    "nvmlDeviceGetCudaComputeCapability",
)
# Timeout, interrupt lost, GPU is lost, reset required: the card is at fault, whatever it was asked.
FAULTS = (10, 11, 15, 16)
OF_ALL = (
    "nvmlInit",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlDeviceGetCount",
)
HANDLE = "nvmlDeviceGetHandleByIndex"
OPTIONAL = tuple(name for name in ANSWERS if name not in (*OF_A_CARD, *OF_ALL, HANDLE))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """NVML's functions answer what this says; an exception in it is raised."""
    told = dict(ANSWERS)

    def answer(name: str) -> Any:
        if isinstance(told[name], Exception):
            raise told[name]
        return told[name]

    for name in ANSWERS:
        monkeypatch.setattr(pynvml, name, lambda *_, name=name: answer(name))
    monkeypatch.setattr(nvml_client, "has_library", lambda: True)
    library = {"release": (560, 35, 3), "cuda": (12, 6), "kind": "driver"}
    monkeypatch.setattr(nvml_client, "libcuda", lambda: library)
    return told


def asked() -> Nvidia:
    return Nvidia.model_validate(undescribed.complete(nvml_client.query()))


def findings(seen: Nvidia) -> list[str]:
    matrix = load_matrix()
    context = CheckContext(
        facts=Facts(nvidia=seen),
        stack=matrix.stack("v0"),
        lock_sha256="",
        model=matrix.models["deepseek-ocr"],
    )
    found = run_checks(context, gpu.GROUP.checks)
    return [one.check for one in found if one.status in ("error", "warning", "unknown")]


def test_nvml_that_answers_gives_driver_and_cards(answers: dict[str, Any]) -> None:
    found = asked()
    assert (found.driver, found.cuda) == ((560, 35, 3), (12, 6))
    assert [card.name for card in found.cards] == ["NVIDIA GeForce RTX 4090"]
    assert findings(found) == []


def test_who_holds_a_card_is_told_without_folders_and_arguments(answers: dict[str, Any]) -> None:
    holders = asked().cards[0].holders
    assert [(one.pid, one.program) for one in holders] == [(9, "python3"), (4242, "python3")]


@pytest.mark.parametrize("call", OF_ALL)
def test_any_error_of_nvml_as_a_whole_is_a_finding_in_its_own_words(
    call: str, answers: dict[str, Any]
) -> None:
    for number in ERRORS:
        answers[call] = pynvml.NVMLError(number)
        found = asked()
        assert (found.problem, found.error) == (str(pynvml.NVMLError(number)), number)
        assert findings(found) == ["driver"]


def test_a_card_without_a_handle_is_lost(answers: dict[str, Any]) -> None:
    for number in ERRORS:
        answers[HANDLE] = pynvml.NVMLError(number)
        found = asked()
        assert found.lost == (str(pynvml.NVMLError(number)),)
        assert findings(found) == ["gpu"]


@pytest.mark.parametrize("call", OF_A_CARD)
def test_a_fault_of_a_card_is_a_finding_about_that_card(call: str, answers: dict[str, Any]) -> None:
    for number in FAULTS:
        answers[call] = pynvml.NVMLError(number)
        found = asked()
        assert found.lost == (str(pynvml.NVMLError(number)),)
        assert findings(found) == ["gpu"]


@pytest.mark.parametrize("call", OF_A_CARD)
def test_one_refused_question_loses_its_answer_and_not_the_card(
    call: str, answers: dict[str, Any]
) -> None:
    for number in sorted(set(ERRORS) - set(FAULTS)):
        answers[call] = pynvml.NVMLError(number)
        found = asked()
        (card,) = found.cards
        assert (found.lost, found.unjudged) == ((), ())
        known = "NVIDIA GPU" if call == "nvmlDeviceGetName" else "NVIDIA GeForce RTX 4090"
        assert (card.name, card.compute_capability) == (known, (8, 9))
        if not card.unified:
            assert findings(found) == []


def test_a_card_that_has_no_memory_of_its_own_has_the_machines(answers: dict[str, Any]) -> None:
    answers["nvmlDeviceGetName"] = "NVIDIA GB10"
    answers["nvmlDeviceGetMemoryInfo"] = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    (card,) = asked().cards
    machine = system.memory()
    assert (card.unified, card.memory_total) == (True, machine.total)
    assert card.memory_free
    assert card.memory_free <= machine.total


def test_memory_that_nobody_tells_is_the_nominal_one_with_what_is_free_unknown(
    answers: dict[str, Any],
) -> None:
    answers["nvmlDeviceGetMemoryInfo"] = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
    (card,) = asked().cards
    assert (card.memory_total, card.memory_free, card.unified) == (24 * GIB, None, False)


@pytest.mark.parametrize("call", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCudaComputeCapability"])
def test_a_card_that_nobody_knows_and_that_tells_too_little_is_said_to_be_unjudged(
    call: str, answers: dict[str, Any]
) -> None:
    answers["nvmlDeviceGetName"] = "NVIDIA Graphics Device"
    answers[call] = pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
    found = asked()
    assert (found.cards, found.lost) == ((), ())
    assert found.unjudged[0].startswith("NVIDIA Graphics Device: NVML does not tell its ")
    assert findings(found) == ["gpu"]


def test_a_slice_shows_its_own_memory_where_the_whole_cards_is_refused(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that was given one slice of a card, without administrator's rights."""
    card, part = object(), object()
    refused = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    def memory(handle: object) -> Any:
        if handle is card:
            raise refused
        return types.SimpleNamespace(total=20 * GIB, free=19 * GIB)

    answers["nvmlDeviceGetMigMode"] = [1, 1]
    answers[HANDLE] = card
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda _: 1)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", lambda *_: part)
    (found,) = asked().cards
    assert (found.memory_total, found.memory_free) == (20 * GIB, 19 * GIB)
    assert (found.mig, found.mig_free) == ((20 * GIB,), (19 * GIB,))


def test_a_slice_whose_number_is_refused_is_a_card_without_slices(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)

    answers["nvmlDeviceGetMigMode"] = [1, 1]
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", refuse)
    assert asked().cards[0].mig == ()


@pytest.mark.parametrize("call", OPTIONAL)
def test_any_error_about_what_not_every_card_has_is_no_finding(
    call: str, answers: dict[str, Any]
) -> None:
    for number in ERRORS:
        answers[call] = pynvml.NVMLError(number)
        assert findings(asked()) == []


@pytest.mark.parametrize(
    ("call", "nonsense"),
    [
        ("nvmlDeviceGetName", ""),
        ("nvmlDeviceGetName", b"\xff"),
        ("nvmlDeviceGetCudaComputeCapability", "eight"),
        ("nvmlDeviceGetMemoryInfo", types.SimpleNamespace(total=-1, free=0)),
        ("nvmlSystemGetDriverVersion", 7),
        ("nvmlSystemGetCudaDriverVersion_v2", None),
        ("nvmlDeviceGetCount", None),
        ("nvmlDeviceGetMigMode", 1),
    ],
)
def test_nonsense_is_refused_or_is_an_error_of_its_own(
    call: str, nonsense: object, answers: dict[str, Any]
) -> None:
    answers[call] = nonsense
    with pytest.raises((ValueError, TypeError, AttributeError)):
        asked()


def test_a_card_cut_into_parts_tells_their_memory(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers["nvmlDeviceGetMigMode"] = [1, 1]
    handles = iter([object(), None])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda _: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", lambda *_: next(handles))
    assert asked().cards[0].mig == (24 * GIB,)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.560.35.03", "driver"),
        ("/usr/local/cuda-12.4/compat/libcuda.so.550.54.14", "compat"),
        ("/usr/local/cuda/lib64/stubs/libcuda.so", "stub"),
        ("/usr/lib/wsl/drivers/nv_dispi.inf_amd64/libcuda.so.1.1", "wsl"),
    ],
)
def test_a_libcuda_is_known_by_where_it_lies(file: str, kind: str) -> None:
    assert nvml_client.kind_of(file) == kind


@pytest.fixture
def nvml_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Another process finds a library of the driver's name, and this text as its binding."""
    maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
    libc = Path(next(line.split()[-1] for line in maps if "/libc.so" in line))
    shutil.copy(libc.with_name("libm.so.6"), tmp_path / "libnvidia-ml.so.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def binding(text: str) -> None:
        (tmp_path / "pynvml.py").write_text(f"class NVMLError(Exception): pass\n{text}\n")

    return binding


def test_nvml_that_hangs_is_ended_in_time_and_is_a_finding(nvml_in_a_process: Any) -> None:
    nvml_in_a_process("def nvmlInit():\n import time\n time.sleep(60)")
    begun = time.monotonic()
    found = nvidia.look(seconds=1)
    assert time.monotonic() - begun < 5
    assert found.problem == "NVML gave no answer in 1 s"
    assert findings(found) == ["driver"]


@pytest.mark.parametrize(
    ("crash", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it ended with status 139"),
        ("raise RuntimeError('bent')", "RuntimeError: bent"),
        ("import sys; sys.exit(3)", "it ended with status 3"),
    ],
)
def test_nvml_that_crashes_is_a_finding(crash: str, told: str, nvml_in_a_process: Any) -> None:
    nvml_in_a_process(f"def nvmlInit():\n {crash}")
    found = nvidia.look()
    assert found.problem == f"NVML crashed: {told}"
    assert findings(found) == ["driver"]


def test_each_card_and_instance_has_a_number_and_a_uuid(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers["nvmlDeviceGetCount"] = 2
    answers["nvmlDeviceGetMigMode"] = [1, 1]
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda _: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", lambda _, n: f"slice {n}")
    names = {"slice 0": "MIG-a", "slice 1": "MIG-b"}
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: names.get(handle, "GPU-a"))
    cards = asked().cards
    assert [(card.number, card.uuid) for card in cards] == [(0, "GPU-a"), (1, "GPU-a")]
    assert cards[0].mig_uuids == ("MIG-a", "MIG-b")
