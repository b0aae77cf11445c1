"""The image of stack cpu, really built: twice the same, tested by the engine in it, loaded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dsk.compat import load_matrix

pytestmark = [pytest.mark.docker, pytest.mark.network]

BASE = "dsk-base:bookworm"
TAG = "dsk:cpu"


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
