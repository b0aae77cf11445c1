"""Running the runner on its own, and looking at what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pymupdf

from dsk import models
from dsk.ocr.schema.engine_config import CardPlacement, EngineConfig, Placement
from dsk.ocr.schema.run_plan import Document, ModelIdentity, RunPlan

RUNNER: Final = Path(__file__).with_name("stub_runner.py")


def plan_for(files: list[Path], out: Path, model: Path, **wished: Any) -> RunPlan:
    """A job that reads every page of PDF files, each into a folder of its name."""
    model.mkdir(exist_ok=True)
    if not (model / "config.json").exists():  # another run may be reading it
        (model / "config.json").write_text("{}")
    settings: dict[str, Any] = {
        "stack": "cpu-v0",
        "lock_sha256": "",
        "prompt": "<image>\n<|grounding|>Convert the document to markdown.",
        "dpi": 72,
        "max_tokens": 100,
        "ngram_size": 20,
        "ngram_window": 50,
        "formats": frozenset({"md", "json", "figures"}),
    }
    engine = EngineConfig(
        kind="V0",
        device="cpu",
        profile=models.default().id,
        model=model,
        mode=wished.pop("mode", "gundam"),
        page_format=wished.pop("page_format", "views"),
        patch=False,
    )
    return RunPlan(
        out=out,
        documents=[document(file, out) for file in files],
        identity=ModelIdentity(id=models.default().id, name=models.default().name),
        engine=engine,
        placement=placed(wished.pop("engines", 1), wished.pop("cards", 0)),
        **settings | wished,
    )


def placed(engines: int, cards: int = 0) -> Placement:
    """Engines on what there is, or as many on each of so many made-up GPUs."""
    if not cards:
        return Placement(cards=(CardPlacement(engines=engines),))
    return Placement(
        cards=tuple(
            CardPlacement(
                device=str(number),
                number=number,
                uuid=f"GPU-{number}",
                label=f"GPU {number}",
                name="NVIDIA H200",
                engines=engines,
            )
            for number in range(cards)
        )
    )


def document(file: Path, out: Path) -> Document:
    with pymupdf.open(file) as opened:
        count = len(opened)
    return Document(
        path=file,
        folder=out / file.stem,
        page_count=count,
        pages=list(range(1, count + 1)),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def start(
    plan: RunPlan, place: Path, *, runner: Path = RUNNER, **environment: str
) -> subprocess.Popen[str]:
    """Start the runner; its events come on its standard output."""
    plan.out.mkdir(exist_ok=True)
    file = place / "job-for-the-runner.json"
    file.write_text(plan.model_dump_json())
    with (place / "runner.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, runner, file],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        )


def children(process: subprocess.Popen[str], module: str) -> list[int]:
    """The processes below one that run a module."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)],  # -ww: whatever COLUMNS says
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.strip().split(" ", 1) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, arguments in found if module in arguments]


def run(
    plan: RunPlan, place: Path, *, runner: Path = RUNNER, **environment: str
) -> tuple[int, list[dict[str, Any]]]:
    """Run to the end; the exit code and the events."""
    with start(plan, place, runner=runner, **environment) as process:
        said, _ = process.communicate(timeout=300)
    return process.returncode, [json.loads(line) for line in said.splitlines()]


def lines(folder: Path) -> list[dict[str, Any]]:
    """What is in a ledger, in the order in which it was written; broken lines are left out."""
    found = []
    for line in (folder / "pages.jsonl").read_text("utf-8", "replace").split("\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def pages(folder: Path) -> list[dict[str, Any]]:
    """The ledger's pages in order, without what differs from run to run."""
    found = lines(folder)
    for record in found:
        del record["timings"], record["crc32"]
    return sorted(found, key=lambda record: int(record["page"]))


def outputs(out: Path) -> dict[str, str]:
    """Every file below a folder and what is in it, but the ledgers."""
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file() and file.name != "pages.jsonl"
    }


def processes_with(mark: str) -> list[str]:
    """The command lines of the processes that were started with a mark in their environment.

    Processes that open documents get a few variables only: the mark has to be in ``TMPDIR``.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return found
