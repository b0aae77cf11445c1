"""However an engine ends, hangs or lies: the run goes on or ends, and says what it was."""

from __future__ import annotations

import os
import re
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.pipeline import books, running

from dsk.errors import EngineMissing
from dsk.ocr.engines.connection import EngineDied
from dsk.ocr.engines.handle import EngineHandle
from dsk.ocr.executors import runner_process
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import EngineEnded, Warned
from dsk.ocr.schema.limits import Limits
from dsk.processes import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.ocr.schema.events import Event

ENGINE = Path(__file__).with_name("ending_engine.py")
RUNNER = Path(__file__).with_name("ending_runner.py")


class EndingRuntime:
    """See `dsk.runtime.base.Runtime`."""

    def __init__(self, **environment: str) -> None:
        self._environment = os.environ | environment

    def start(
        self,
        module: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
    ) -> Child:
        command = [sys.executable, RUNNER, *arguments]
        return Child(command, environment=self._environment, stdout=stdout, stderr=stderr)


class Run:
    """A run whose engines end in these ways, one after the other."""

    def __init__(self, tmp_path: Path, *ways: str, pages: int = 2, **limits: int) -> None:
        self.mark = f"{tmp_path.name}{os.getpid()}"
        (tmp_path / "ways").write_text("\n".join(ways))
        self.environment = {"END_WAYS": str(tmp_path / "ways"), "DSK_TEST_MARK": self.mark}
        self.events: list[Event] = []
        file = books.write(tmp_path / "book.pdf", [books.PLAIN] * pages)
        wished: dict[str, Any] = {"limits": Limits(**limits), "mode": "tiny"}
        self.plan = running.plan_for([file], tmp_path / "out", tmp_path / "model", **wished)
        self.plan.out.mkdir()
        self.log = self.plan.out / run_files.ENGINE_LOG

    def run(self, *, may_leave: int = 0) -> bool:
        """Run to the end; return True if it is whole. As many processes may be left."""
        runtime = EndingRuntime(**self.environment)
        whole = runner_process.run(self.plan, runtime, self.events.append)
        assert len(running.processes_with(f"DSK_TEST_MARK={self.mark}")) == may_leave
        return whole

    def states(self) -> list[str]:
        return [record["status"] for record in running.pages(self.plan.out / "book")]

    def ends(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, EngineEnded)]

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


CAUSE = "A GPU kernel read outside its memory"
"""The words of `dsk explain` for the error that engines raise here."""
BROKEN = "sent a broken message: it was ended"
ENDS = {
    "hangs": "said nothing for 4 s, the limit of --read-seconds: it was ended",
    "stops": "said nothing for 4 s, the limit of --read-seconds: it was ended",
    "raises": "ended with status 1",
    "exits with 0": "ended with status 0",
    "SIGSEGV": "ended with status 139 (SIGSEGV: a crash in compiled code)",
    "SIGBUS": "ended with status 135 (SIGBUS: /dev/shm is full",
    "SIGKILL": "ended with status 137 (SIGKILL: somebody killed it",
    "leaves a child": "ended with status 3",
    "closes": "closed its connection and went on: it was ended",
    "floods its log": "ended with status 139 (SIGSEGV",
    "sends bytes": BROKEN,
    "sends a length of 4 GB": BROKEN,
    "sends no JSON": BROKEN,
    "sends something unknown": BROKEN,
    "sends odd types": BROKEN,
    "sends huge numbers": BROKEN,
    "sends deep JSON": BROKEN,
    "sends half a message": "said nothing for 4 s",
    "takes no page": BROKEN,
    "reads other pages": "ended with status 139 (SIGSEGV",
}
"""The message about an engine that has loaded and then ends in a way."""


def test_each_end_while_pages_are_read_is_told_and_the_next_engine_reads_on(
    tmp_path: Path,
) -> None:
    ways = [f"reading: {way}" for way in ENDS]
    # A page that two engines have ended with is read alone, after all others: as many others are
    # left until the last of these engines that it meets none of them a third time.
    run = Run(tmp_path, *ways, pages=3 * len(ways), read_seconds=4)
    assert run.run()
    assert set(run.states()) == {"ok"}
    told = dict(zip(ENDS, run.ends(), strict=True))
    for way, how in ENDS.items():
        assert told[way].startswith(f"the engine {how}"), way
        assert told[way].endswith("; it is started again")
    # The log of engines that have ended is explained although the run is whole.
    (warning,) = run.warnings()
    assert CAUSE in warning


LOADING_ENDS = {
    "raises": "ended with status 1 while it loaded",
    "exits with 0": "ended with status 0 while it loaded",
    "SIGSEGV": "ended with status 139 (SIGSEGV: a crash in compiled code) while it loaded",
    "closes": "closed its connection and went on: it was ended",
    "sends bytes": BROKEN,
    "leaves a child": "ended with status 3 while it loaded",
}


def receive_until_it_ends(engine: EngineHandle) -> None:
    while True:
        if select.select([engine.channel], [], [], 0.2)[0]:
            engine.receive()
        engine.check_alive()


@pytest.mark.parametrize("way", LOADING_ENDS)
def test_an_end_while_an_engine_loads_is_told(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ways").write_text(f"loading: {way}")
    monkeypatch.setenv("END_WAYS", str(tmp_path / "ways"))
    engine = EngineHandle([sys.executable, ENGINE], tmp_path / "plan.json", 1)
    with pytest.raises(EngineDied, match=re.escape(f"the engine {LOADING_ENDS[way]}")):
        receive_until_it_ends(engine)
    assert engine.unkillable == ()


def test_an_engine_that_raises_while_it_loads_ends_the_run_with_the_cause(tmp_path: Path) -> None:
    run = Run(tmp_path, *["loading: raises"] * 3)
    with pytest.raises(
        EngineMissing, match="the engine ended with status 1 while it loaded"
    ) as end:
        run.run()
    assert CAUSE in str(end.value)
    assert str(run.log) in end.value.do


def test_an_engine_that_hangs_while_it_loads_is_reported_and_ended(tmp_path: Path) -> None:
    run = Run(tmp_path, "loading: hangs", load_seconds=6)
    run.environment["END_REPORT_SECONDS"] = "1"
    said = r"the engine did not load within 6 s \(--load-seconds raises the limit\)"
    with pytest.raises(EngineMissing, match=said):
        run.run()
    assert run.warnings()[-1] == (
        "engine 1 has been loading for 0 min; it is ended after 6 s (--load-seconds). "
        "The last line of its log: loading the weights"
    )


def test_engines_that_end_with_a_single_page_have_their_log_explained(tmp_path: Path) -> None:
    run = Run(tmp_path, *["first page: raises"] * 3, pages=1)
    assert not run.run()
    (record,) = running.pages(run.plan.out / "book")
    assert record["status"] == "engine-failed"
    assert record["reason"] == "the engine ended with status 1, each time it read the page"
    (warning,) = run.warnings()
    assert warning.startswith("the engine ended with status 1; it is started again: ")
    assert CAUSE in warning
    assert str(run.log) in warning
