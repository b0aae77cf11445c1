"""The launcher: events are passed on, and how the runner ended becomes what the user sees."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from dsk import models
from dsk.errors import EngineMissing, Interrupted, UsageProblem
from dsk.matrix import load_matrix
from dsk.ocr.executors import runner_process
from dsk.ocr.run import output_folder
from dsk.ocr.schema import run_files
from dsk.ocr.schema.engine_config import EngineConfig
from dsk.ocr.schema.events import Failed, PageDone
from dsk.ocr.schema.page_record import Status
from dsk.ocr.schema.run_plan import ModelIdentity, RunPlan
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.ocr.schema.events import Event


class Script:
    """A runtime that runs a few lines of Python in place of the runner."""

    def __init__(self, lines: str) -> None:
        self.lines = lines

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
    ) -> Child:
        assert module == "dsk.ocr.run.runner"
        return Child([sys.executable, "-c", self.lines, *arguments], stdout=stdout, stderr=stderr)

    def run(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        raise AssertionError


PAGE = PageDone(document="a.pdf", page=1, status=Status.OK, tokens=9)


def run(lines: str, out: Path, *, overwrite: bool = False) -> tuple[bool, list[Event]]:
    told: list[Event] = []
    stack = load_matrix().stack("cpu")
    plan = RunPlan(
        documents=[],
        out=out,
        stack="cpu",
        lock_sha256="",
        identity=ModelIdentity(id=models.default().id, name=models.default().name),
        engine=EngineConfig(
            kind="V1",
            device="cpu",
            profile=models.default().id,
            model=Path("model"),
            mode="gundam",
            page_format="views",
            patch=True,
        ),
        prompt="<image>",
        dpi=144,
        max_tokens=1,
        ngram_size=20,
        ngram_window=50,
        overwrite=overwrite,
    )
    return runner_process.run(plan, Script(lines), told.append, stack=stack), told


def test_each_page_is_told_as_it_ends(tmp_path: Path) -> None:
    whole, told = run(f"print({PAGE.model_dump_json()!r})", tmp_path)
    assert (whole, told) == (True, [PAGE])


def test_the_runner_gets_the_job_as_a_file(tmp_path: Path) -> None:
    lines = "import sys, json; sys.exit(json.load(open(sys.argv[1]))['stack'] != 'cpu')"
    assert run(lines, tmp_path) == (True, [])


def test_degraded_pages_are_no_failure_of_the_runner(tmp_path: Path) -> None:
    assert run("raise SystemExit(11)", tmp_path) == (False, [])


def test_what_the_runner_says_stopped_it_is_the_error_of_its_kind(tmp_path: Path) -> None:
    said = Failed(message="the model is not whole: get it again").model_dump_json()
    with pytest.raises(UsageProblem, match="the model is not whole: get it again"):
        run(f"print({said!r}); raise SystemExit(2)", tmp_path)


def test_a_known_failure_in_the_log_is_said_with_its_fix(tmp_path: Path) -> None:
    fault = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a"
    fault += " total capacity of 23.64 GiB of which 1.10 GiB is free."
    with pytest.raises(EngineMissing) as caught:
        run(f"import sys; sys.exit({fault!r})", tmp_path)
    assert "memory" in caught.value.what
    assert str(tmp_path / run_files.ENGINE_LOG) in caught.value.do
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("overwrite", "said"), [(True, " without --overwrite"), (False, "")])
def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path, overwrite: bool, said: str) -> None:
    lines = f"import os, time; os.kill({os.getpid()}, 2); time.sleep(60)"
    with pytest.raises(Interrupted, match=f"run the same command again{said} to continue$"):
        run(lines, tmp_path, overwrite=overwrite)


def test_an_unknown_failure_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(
        EngineMissing,
        match=r"ended with status 134 \(SIGABRT: the program aborted itself\): its log is",
    ):
        run("import os; os.abort()", tmp_path)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageProblem, match="cannot be written to"):
        output_folder.ensure_writable(tmp_path / "file" / "out")
