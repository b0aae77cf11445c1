"""The image of stack cpu, really built: twice the same, tested by the engine in it, loaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.docker.conftest import Caller, docker, ledger

from dsk.compat import load_matrix
from dsk.eyechart import layout, make, page
from dsk.ocr.outputs.markdown import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from dsk.compat import Stack

pytestmark = [pytest.mark.docker, pytest.mark.network]

BASE = "dsk-base:bookworm"
TAG = "dsk:cpu"
MADE_UP = 12345
"""A user that this machine has no name for."""
TEXT = "Read in a container, by nobody in particular.\n"


@pytest.fixture(scope="module", autouse=True)
def _base(engine: None) -> None:
    asked = ["docker", "image", "inspect", BASE]
    if subprocess.run(asked, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"there is no {BASE} here: .ci/docker makes it")


def built(*options: str) -> str:
    command = [sys.executable, "-m", "dsk", "build", "--stack", "cpu", "--base-image", BASE]
    done = subprocess.run(
        [*command, "--network", "host", *options],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=1800,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    return done.stdout


def test_two_builds_without_cache_have_one_digest() -> None:
    # First: what it leaves in the cache the next test builds from.
    told = json.loads(built("--verify-reproducible", "--json"))
    assert told["digest"].startswith("sha256:")


def test_the_image_is_built_and_its_engine_read_a_chart_in_the_build() -> None:
    told = json.loads(built("--tag", TAG, "--json"))
    said = Path(told["log"]).read_text("utf-8")
    # An image in which nothing changed was tested when it was made.
    assert re.search(r"cpu: exact on |\[selftest 1/1\][^#]*#\d+ CACHED", said)
    asked = ["docker", "image", "inspect", TAG]
    (image,) = json.loads(subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout)
    stack = load_matrix().stack("cpu")
    assert image["Config"]["Labels"]["dsk.lock.sha256"] == stack.lock_sha256()
    assert image["Config"]["User"] == "1000:1000"


def test_its_size_by_layer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_user_reads_a_document_in_it_exactly(usable: Callable[[str], Stack]) -> None:
    if not make.is_whole(make.cached()):
        make.make(make.cached(), usable("cpu"), progress=lambda _: None)
    charts = layout.charts(TEXT, 16)
    with tempfile.TemporaryDirectory(prefix="dsk-test-") as name:  # pytest's own are closed
        folder = Path(name)
        (folder / "chart.pdf").write_bytes(page.draw(charts, 16))
        (folder / "out").mkdir()
        os.chown(folder / "out", MADE_UP, MADE_UP)
        caller = Caller(MADE_UP, folder, None)
        given = [folder / "chart.pdf", "-o", folder / "out", "--model", make.cached()]
        done = caller.dsk("run", "pdf", *given, "--stack", "cpu", "--runtime", "container")
        assert done.returncode == 0, done.stderr
        out = folder / "out"
        printed = [layout.spelled(chart) for chart in charts]
        assert (out / "chart" / "chart.md").read_text("utf-8") == joined(printed)
        assert [record["status"] for record in ledger(out / "chart")] == ["ok"]
        assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {MADE_UP}
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={TAG}") == ""
