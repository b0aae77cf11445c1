"""A real registry on loopback: pushed, pulled by digest, locked against, and what it lost told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.conftest import left_out
from tests.integration.docker.conftest import docker, imported

from dsk import paths
from dsk.errors import EngineMissing, VerificationFailed
from dsk.matrix import load_matrix
from dsk.matrix.digests import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""


@dataclass
class LocalRegistry:
    """A registry that serves, with one image in it: what was pushed, and its digest."""

    address: str
    tag: str = ""
    digest: str = ""

    def delete(self) -> None:
        """Delete the image with every tag that names it."""
        url = f"http://{self.address}/v2/base/manifests/{self.digest}"
        assert httpx.delete(url, trust_env=False).status_code == 202

    def push(self, marker: str) -> str:
        """Push another image under the tag; its digest."""
        imported(bytes(10240), {"marker": marker}, self.tag)
        docker("push", self.tag)
        docker("image", "rm", "--force", self.tag)
        said = docker("pull", self.tag)
        docker("image", "rm", "--force", self.tag)
        line = next(line for line in said.splitlines() if line.startswith("Digest: "))
        return line.removeprefix("Digest: ")


@pytest.fixture
def registry(engine: None, tmp_path: Path) -> Iterator[LocalRegistry]:
    """Debian's docker-registry; where it is not installed the test is left out."""
    program = shutil.which("docker-registry")
    if program is None:
        left_out("there is no docker-registry here: apt-get install docker-registry")
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{trial.getsockname()[1]}"
    file = tmp_path / "registry.yml"
    file.write_text(CONFIGURATION.format(folder=tmp_path / "blobs", address=address), "utf-8")
    with subprocess.Popen([program, "serve", file], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"http://{address}/v2/")
            found = LocalRegistry(address=address, tag=f"{address}/base:1")
            found.digest = found.push("first")
            yield found
        finally:
            process.kill()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def compat(registry: LocalRegistry, tmp_path: Path) -> Path:
    """The matrix, whose only images are stack v0's, at the registry."""
    folder = tmp_path / "compat"
    shutil.copytree(paths.data() / "compat", folder)
    (folder / "digests.toml").unlink()
    for file in (folder / "stacks").glob("*.toml"):
        if file.stem != "v0":
            file.unlink()
    file = folder / "stacks" / "v0.toml"
    text = file.read_text("utf-8")
    image = f'[image]\nruntime = "{registry.tag}"\npackages = ["python3"]\n'
    file.write_text(text[: text.index("[image]")] + image, "utf-8")
    return folder


def lock(compat: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsk", "matrix", "lock", "--images"],
        env=os.environ | {"DSK_COMPAT": str(compat)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_was_pushed_is_pulled_by_digest(registry: LocalRegistry) -> None:
    name = f"{registry.address}/base@{registry.digest}"
    docker("pull", name)
    labels = docker("image", "inspect", "--format", "{{.Config.Labels.marker}}", name)
    docker("image", "rm", "--force", name)
    assert labels == "first"


def test_tags_are_locked_to_digests_that_dockerfiles_are_rendered_with(
    registry: LocalRegistry, compat: Path
) -> None:
    done = lock(compat)
    assert done.returncode == 0, done.stderr
    written = (compat / "digests.toml").read_text("utf-8")
    table = f'["{registry.tag}"]\ndigest = "{registry.digest}"\nsource = "{REGISTRY}"\n'
    assert table in written
    image = load_matrix(compat).stack("v0").image
    assert image
    assert image.runtime == f"{registry.tag}@{registry.digest}"
    again = lock(compat)
    assert "as recorded" in again.stdout
    assert (compat / "digests.toml").read_text("utf-8") == written


def test_a_tag_that_moved_is_told_and_locked_anew(registry: LocalRegistry, compat: Path) -> None:
    lock(compat)
    second = registry.push("second")
    done = lock(compat)
    assert done.returncode == 0
    assert f"it was {registry.digest}, which still resolves" in done.stdout
    assert second in (compat / "digests.toml").read_text("utf-8")


def test_a_deleted_tag_is_reported_and_what_was_locked_is_kept(
    registry: LocalRegistry, compat: Path
) -> None:
    lock(compat)
    written = (compat / "digests.toml").read_text("utf-8")
    registry.delete()
    done = lock(compat)
    assert done.returncode == VerificationFailed.exit_code
    assert "the tag is gone" in done.stderr
    assert f"{registry.digest}, recorded of it, no longer resolves" in done.stderr
    assert (compat / "digests.toml").read_text("utf-8") == written


def test_a_digest_that_was_deleted_under_a_moved_tag_is_reported(
    registry: LocalRegistry, compat: Path
) -> None:
    lock(compat)
    registry.push("second")
    registry.delete()
    done = lock(compat)
    assert done.returncode == 0
    assert f"it was {registry.digest}, which no longer resolves" in done.stdout


def test_a_registry_that_does_not_answer_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "compat"
    shutil.copytree(paths.data() / "compat", folder)
    for file in (folder / "stacks").glob("*.toml"):
        text = file.read_text("utf-8")
        lines = [
            f'{line.split("=")[0]}= "127.0.0.1:9/base:1"' if line.startswith(KEYS) else line
            for line in text.splitlines()
        ]
        file.write_text("\n".join(lines) + "\n", "utf-8")
    recorded = '["127.0.0.1:9/base:1"]\ndigest = "sha256:' + "a" * 64 + '"\nsource = "a test"\n'
    (folder / "digests.toml").write_text(recorded, "utf-8")
    before = (folder / "digests.toml").read_bytes()
    done = lock(folder)
    assert done.returncode == EngineMissing.exit_code
    assert "127.0.0.1:9 does not answer" in done.stderr
    assert (folder / "digests.toml").read_bytes() == before


KEYS = ("runtime =", "devel =")
