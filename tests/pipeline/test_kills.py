"""Nothing is lost: whatever is killed or taken away, and when, the run that follows ends the same.

A hundred runs over forty pages are disturbed at random moments, twenty in each of five ways, and
run again until they end well. The real engine is disturbed in `tests/integration/test_kills.py`.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.pipeline import books, running

from dsk.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from dsk.ocr.schema.run_plan import RunPlan

PAGES: Final = 40
RUNS: Final = 20
"""In each way."""
SEED: Final = 20261127
AT_ONCE: Final = 2
SECONDS_A_PAGE: Final = "0.02"

Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs, and after how many seconds its first page is read."""

    file: Path
    model: Path
    outputs: dict[str, str]
    pages: list[dict[str, Any]]
    start: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    place = tmp_path_factory.mktemp("undisturbed")
    colours = [books.PLAIN] * PAGES
    colours[7], colours[20], colours[33] = books.LOOPS, books.CUT_OFF, books.WORDY
    file = books.write(place / "book.pdf", colours)
    plan = job_of(file, place / "out", place / "model")
    began = time.monotonic()
    process = running.start(plan, place, STUB_SECONDS=SECONDS_A_PAGE)
    wait_for_pages(1, process, plan.out)
    start = time.monotonic() - began
    process.communicate(timeout=300)
    assert process.returncode == 0, (place / "runner.log").read_text()
    return Undisturbed(
        file=file,
        model=place / "model",
        outputs=running.outputs(plan.out),
        pages=running.pages(plan.out / "book"),
        start=start,
    )


def job_of(file: Path, out: Path, model: Path) -> RunPlan:
    return running.plan_for([file], out, model, mode="tiny", attempts=4)


def wait_for_pages(count: int, process: Process, out: Path) -> None:
    """Wait until as many are in the ledger, or the run has ended."""
    ledger = out / "book/pages.jsonl"
    while process.poll() is None:
        if ledger.exists() and ledger.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)


def wait_for_a_moment(
    chance: random.Random, process: Process, out: Path, expected: Undisturbed
) -> None:
    """One in the start, after any of the pages, or while the outputs are written."""
    pages = chance.randint(-PAGES // 4, PAGES)
    if pages > 0:
        wait_for_pages(pages, process, out)
    else:
        time.sleep(chance.uniform(0, expected.start))


def kill(process: Process, module: str) -> bool:
    """Kill what runs a module, as soon as there is such; whether there was."""
    while not (pids := running.children(process, module)):
        if process.poll() is not None:
            return False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def kill_runner(process: Process, _: Path) -> bool:
    goes_on = process.poll() is None
    process.kill()
    return goes_on


def take_the_folder_away(process: Process, out: Path) -> bool:
    goes_on = process.poll() is None
    with contextlib.suppress(OSError):  # a file that comes while the others go
        shutil.rmtree(out)
    shutil.rmtree(out, ignore_errors=True)
    return goes_on


WAYS: Final[dict[str, Callable[[Process, Path], bool]]] = {
    "runner": kill_runner,
    "worker": lambda process, _: kill(process, "page_worker"),
    "engine": lambda process, _: kill(process, "stub_engine"),
    "folder": take_the_folder_away,
}
"""Each says whether there was what it disturbs."""


ENDS: Final = {"worker": (0,), "engine": (0, EngineMissing.exit_code)}
"""How a run may end that was disturbed in a way; an engine that never was up is not waited for."""


def disturbed(way: str, number: int, expected: Undisturbed) -> tuple[bool, str]:
    """Run, disturb, and run again until it ends well.

    Returns:
        Whether there was something to disturb; what is wrong with what is left, or "".
    """
    chance = random.Random(f"{SEED} {way} {number}")
    with tempfile.TemporaryDirectory(prefix="dsk-kills-") as name:
        place = Path(name)
        plan = job_of(expected.file, place / "out", expected.model)
        plan = plan.model_copy(update={"placement": running.placed(1 + number % 2)})
        plan.out.mkdir()
        process = running.start(plan, place, STUB_SECONDS=SECONDS_A_PAGE)
        wait_for_a_moment(chance, process, plan.out, expected)
        hit = WAYS[way](process, plan.out)
        process.communicate(timeout=300)
        code = process.returncode
        if code not in ENDS.get(way, (code,)):
            return hit, f"the run ended with {code}: {(place / 'runner.log').read_text()}"
        return hit, finished(plan, place, expected)


def finished(plan: RunPlan, place: Path, expected: Undisturbed) -> str:
    """Run again, and compare."""
    code, _ = running.run(plan, place, STUB_SECONDS=SECONDS_A_PAGE)
    if code != 0:
        return f"the run that followed ended with {code}: {(place / 'runner.log').read_text()}"
    return wrong_with(plan, expected)


def wrong_with(plan: RunPlan, expected: Undisturbed) -> str:
    found = running.outputs(plan.out)
    differing = [name for name in expected.outputs if found.get(name) != expected.outputs[name]]
    surplus = found.keys() - expected.outputs.keys()
    if differing or surplus:
        there = expected.file.parent / "out"
        changes = [changed(there / name, plan.out / name) for name in differing]
        return f"these files differ: {changes}; these should not be there: {surplus}"
    last = {record["page"]: record for record in running.lines(plan.out / "book")}
    for record in last.values():
        del record["timings"], record["crc32"]
    if [last[page] for page in sorted(last)] != expected.pages:
        return "the ledger's pages differ"
    read = Counter(record["page"] for record in running.lines(plan.out / "book"))
    twice = [page for page, count in read.items() if count > 1]
    return f"read twice: {twice}" if twice else ""


def changed(expected: Path, found: Path) -> list[str]:
    """The lines of a text in which it differs."""
    if not found.exists():
        return [f"{found.name} is gone"]
    before, after = (file.read_text("utf-8", "replace").splitlines() for file in (expected, found))
    return list(difflib.unified_diff(before, after, found.name, lineterm="", n=0))[:20]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_disturbed_ends_the_same_in_the_end(
    way: str, undisturbed: Undisturbed
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda number: disturbed(way, number, undisturbed), range(RUNS)))
    assert {number: wrong for number, (_, wrong) in enumerate(found) if wrong} == {}
    assert sum(hit for hit, _ in found) > RUNS / 2, "the others came too late"


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of ``size`` bytes in a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def with_a_full_disk(number: int, expected: Undisturbed) -> str:
    chance = random.Random(f"{SEED} disk {number}")
    there = expected.file.parent / "out"
    size = sum(file.stat().st_size for file in there.rglob("*"))
    with tempfile.TemporaryDirectory(prefix="dsk-kills-") as name:
        place = Path(name)
        plan = job_of(expected.file, place / "out", expected.model)
        with small_disk(plan.out, 4096 * chance.randint(3, size // 4096)):
            code, events = running.run(plan, place, STUB_SECONDS=SECONDS_A_PAGE)
            reasons = ("warned", "outputs-missing")
            told = str(events[-1:]) + str([one for one in events if one["event"] in reasons])
            if code != 0 and "No space left" not in told:
                return f"it ended with {code} and does not say why: {told}"
            grown = ["mount", "-o", "remount,size=100M", str(plan.out)]
            subprocess.run(grown, check=True)
            return finished(plan, place, expected)


def test_a_run_whose_disk_was_full_ends_the_same_in_the_end(undisturbed: Undisturbed) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda number: with_a_full_disk(number, undisturbed), range(RUNS)))
    assert {number: wrong for number, wrong in enumerate(found) if wrong} == {}
