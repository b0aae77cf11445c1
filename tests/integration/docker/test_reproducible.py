"""Images by a real engine that are the same to the bit, and have the lock's time throughout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.integration.conftest import BASE, left_out
from tests.integration.docker.conftest import docker

from dsk.errors import EngineMissing
from dsk.images import build as building
from dsk.images import command, docker_engine
from dsk.images.command import BuildRequest
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Builder

pytestmark = pytest.mark.docker

TAG = "dsk-test:reproducible"
DOCKERFILE = f"""\
FROM {BASE} AS image
ARG SOURCE_DATE_EPOCH
RUN echo read > /page
CMD ["cat", "/page"]
"""


@pytest.mark.network
def test_two_builds_without_cache_have_one_digest(build: Builder) -> None:
    told = json.loads(build("--stack", "cpu", "--verify-reproducible", "--json"))
    assert told["digest"].startswith("sha256:")


def test_a_reproducible_image_runs_and_what_its_steps_wrote_has_the_lock_s_time(
    build: Builder, tmp_path: Path
) -> None:
    found = docker_engine.inspect()
    try:
        docker_engine.require(found, rewrites=True)
    except EngineMissing as unable:
        left_out(unable.what)
    stack = load_matrix().stack("v0")  # of a GPU: no self-test
    file = tmp_path / "Dockerfile"
    file.write_text(DOCKERFILE, "utf-8")
    request = BuildRequest(
        stack=stack, dockerfile=file, context=tmp_path, tag=TAG, plan_format="1", reproducible=True
    )
    log = tmp_path / "log"
    digest = building.image(
        request, lambda _: None, containerd_store=found.containerd_store, log=log
    )
    try:
        assert digest
        assert docker("run", "--rm", "--network=none", TAG) == "read"
        written = docker("run", "--rm", "--network=none", TAG, "stat", "--format=%Y", "/page")
        assert written == str(command.epoch(stack))
    finally:
        docker("image", "rm", "--force", TAG)
    assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == []
