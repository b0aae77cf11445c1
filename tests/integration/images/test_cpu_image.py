"""The image of stack cpu, really built: the engine in it tests it, and reads for a user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.docker.conftest import Caller, docker, ledger

from dsk.eyechart import cache, layout, page
from dsk.matrix import load_matrix
from dsk.ocr.outputs.markdown import from_answers
from dsk.ocr.schema.plan_format import plan_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Builder

    from dsk.matrix import Stack

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.network]

TAG = "dsk:cpu"
MADE_UP = 12345
"""A user that this machine has no name for."""
TEXT = "Read in a container, by nobody in particular.\n"


@pytest.fixture(scope="module")
def told(build: Builder) -> dict[str, Any]:
    """What `dsk build` says of the image that it made."""
    said: dict[str, Any] = json.loads(build("--stack", "cpu", "--tag", TAG, "--json"))
    return said


def test_its_engine_read_a_chart_in_the_build(told: dict[str, Any]) -> None:
    said = Path(told["log"]).read_text("utf-8")
    # An image in which nothing changed was tested when it was made.
    assert re.search(r"cpu: exact on |\[selftest 1/1\][^#]*#\d+ CACHED", said)
    asked = ["docker", "image", "inspect", TAG]
    (image,) = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout)
    stack = load_matrix().stack("cpu")
    assert image["Config"]["Labels"]["dsk.lock.sha256"] == stack.lock_sha256()
    assert image["Config"]["Labels"]["dsk.plan"] == plan_format()
    assert image["Config"]["User"] == "1000:1000"


def test_its_size_by_layer_is_told(
    told: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    form = "{{.Size}}\t{{.CreatedBy}}"
    asked = ["docker", "history", "--no-trunc", "--human=false", "--format", form, TAG]
    rows = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    layers = [(int(row.split("\t")[0]), row.split("\t")[1]) for row in rows]
    total = sum(size for size, _ in layers)
    with capsys.disabled():
        print(f"\n{TAG}: {total / 1e9:.2f} GB uncompressed")
        for size, made_by in reversed(layers):
            if size:
                print(f"  {size / 1e6:9.1f} MB  {' '.join(made_by.split())[:80]}")
    # The environment is one layer; dsk on top of it is a small one.
    largest, *others = sorted((size for size, _ in layers), reverse=True)
    assert sum(others) < largest / 4


def test_a_user_reads_a_document_in_it_exactly(
    told: dict[str, Any], usable: Callable[[str], Stack]
) -> None:
    model = cache.cached(usable("cpu"), cache.tiny_model(), progress=lambda _: None)
    charts = layout.charts(TEXT, 16)
    with tempfile.TemporaryDirectory(prefix="dsk-test-") as name:  # pytest's own are closed
        folder = Path(name)
        (folder / "chart.pdf").write_bytes(page.draw(charts, 16))
        (folder / "out").mkdir()
        os.chown(folder / "out", MADE_UP, MADE_UP)
        caller = Caller(MADE_UP, folder, None)
        given = [folder / "chart.pdf", "-o", folder / "out", "--model", model]
        done = caller.dsk("run", "pdf", *given, "--stack", "cpu", "--runtime", "container")
        assert done.returncode == 0, done.stderr
        out = folder / "out"
        printed = [layout.spelled(chart) for chart in charts]
        assert (out / "chart" / "chart.md").read_text("utf-8") == from_answers(printed)
        assert [record["status"] for record in ledger(out / "chart")] == ["ok"]
        assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {MADE_UP}
        assert list(folder.glob("**/kernels/*/vllm/*"))
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={TAG}") == ""


@pytest.mark.parametrize(
    ("options", "arguments", "mending"),
    [
        ("", "serve --host 0.0.0.0", "-e HF_HUB_OFFLINE=0 dsk:cpu model fetch"),
        ("", "model fetch", "-e HF_HUB_OFFLINE=0 dsk:cpu model fetch"),
        ("", "bash", "docker run --rm -it --entrypoint bash dsk:cpu"),
        ("--read-only", "verify", "docker run --rm -v dsk-cache:/home/dsk/.cache dsk:cpu verify"),
        ("--shm-size 1m", "verify", "docker run --rm --shm-size 8g dsk:cpu verify"),
        ("--pids-limit 40", "verify", "docker run --rm --pids-limit 8192 dsk:cpu verify"),
        # As an image for GPUs that is started without them.
        ("-e DSK_STACK=v1 -e NVIDIA_DISABLE_REQUIRE=1", "verify", "--gpus all dsk:v1 verify"),
    ],
)
def test_a_wrong_start_ends_in_one_line_with_the_command_that_mends_it(
    told: dict[str, Any], options: str, arguments: str, mending: str
) -> None:
    # By another user than the image's, whose home it has all the same.
    command = ["docker", "run", "--rm", f"--user={MADE_UP}", *options.split(), TAG]
    command += arguments.split()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode not in (0, 1)
    assert len(ended.stderr.splitlines()) == 1
    assert mending in ended.stderr
