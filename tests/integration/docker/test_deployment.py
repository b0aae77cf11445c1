"""Compose and bake as their own programs read them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from tests.integration.conftest import left_out
from tests.integration.docker.conftest import docker

from dsk import __version__, paths
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dsk.images.local_images import LocalImage

T = TypeVar("T")

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def read_by(*command: str) -> Any:
    done = subprocess.run(
        ["docker", *command], cwd=paths.CHECKOUT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def test_bake_builds_the_image_of_every_current_stack() -> None:
    targets = read_by("buildx", "bake", "--print")["target"]
    assert set(targets) == {stack.id for stack in load_matrix().current}
    for name, target in targets.items():
        assert target["dockerfile"] == f"dockerfiles/{name}/Dockerfile"
        assert target["tags"] == [f"dsk:{name}", f"dsk:{name}-{__version__}"]
        assert target["target"] == "image"
    selftest = read_by("buildx", "bake", "--print", "cpu-selftest")["target"]["cpu-selftest"]
    assert (selftest["target"], selftest.get("tags")) == ("selftest", None)


def test_compose_serves_the_recipes_card_and_on_request_fetches_the_model() -> None:
    usual = read_by("compose", "config", "--format", "json")["services"]
    assert set(usual) == {"server", "model"}
    server = usual["server"]
    # Without the model the server is not started, and so not started again and again.
    assert server["depends_on"]["model"]["condition"] == "service_completed_successfully"
    assert usual["model"]["command"] == ["model", "status", "--model", "deepseek-ocr"]
    assert "restart" not in usual["model"]
    assert server["image"] == "dsk:v0"
    assert server["healthcheck"]["test"] == ["CMD", "python", "-m", "dsk.serving.health"]
    assert [volume["source"] for volume in server["volumes"]] == ["model"]
    assert {port["host_ip"] for port in server["ports"]} == {"127.0.0.1"}
    both = read_by("compose", "--profile", "fetch", "config", "--format", "json")["services"]
    assert both["fetch"]["command"] == ["model", "fetch", "--model", "deepseek-ocr"]
    assert "ports" not in both["fetch"]


def test_every_service_is_confined() -> None:
    services = read_by("compose", "--profile", "*", "config", "--format", "json")["services"]
    for service in services.values():
        assert service["user"] == "1000:1000"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert 0 < service["pids_limit"] <= 8192
        assert service["mem_limit"] == service["memswap_limit"]


# What a program that was taken over would try, answered over the published port.
INTRUDER = """\
import http.server, os, pathlib, socket
def outcome(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
def write(path):
    return outcome(lambda: pathlib.Path(path).write_text(""))
found = {
    "outside": outcome(lambda: socket.create_connection(("OUTSIDE", 80), timeout=3)),
    **{path: write(path) for path in ("/opt/x", "/work/x", "/home/dsk/x", "/tmp/x")},
    "user": os.getuid(),
}
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(__import__("json").dumps(found).encode())
http.server.HTTPServer(("", 8000), Answer).serve_forever()
"""


@pytest.fixture
def outside() -> Iterator[str]:
    """A machine beyond this one, as a network namespace; its address, where port 80 answers.

    As in the world, it has no way back to a container's own address.
    """
    if os.geteuid() != 0 or not shutil.which("ip"):
        left_out("a network namespace needs root and iproute2")
    name, address = f"dsk{os.getpid()}", "198.51.100.2"
    inside = ["ip", "netns", "exec", name]
    serve = [*inside, sys.executable, "-m", "http.server", "80", "--directory", "/var/empty"]
    for command in (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name out netns {name}",
        f"ip addr add 198.51.100.1/30 dev {name}",
        f"ip link set {name} up",
    ):
        subprocess.run(command.split(), check=True)
    try:
        for command in (f"ip addr add {address}/30 dev out", "ip link set out up"):
            subprocess.run([*inside, *command.split()], check=True)
        with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as peer:
            wait_for(lambda: socket.create_connection((address, 80), timeout=1).close())
            yield address
            peer.kill()
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)
        subprocess.run(["ip", "netns", "del", name], check=True)


def wait_for(action: Callable[[], T]) -> T:
    """The result of an action, tried again for half a minute."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return action()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


@pytest.mark.parametrize("network", ["closed", "default"])
def test_who_takes_over_the_server_writes_nowhere_and_reaches_nobody(
    image: LocalImage, outside: str, tmp_path: Path, network: str
) -> None:
    # The network "default" is the control: what "closed" keeps from reaching out does so there.
    file, port = tmp_path / "compose.json", free_port()
    told = read_by("compose", "config", "--format", "json")
    server = told["services"]["server"]
    told["services"].pop("model")
    for key in ("deploy", "healthcheck", "restart", "depends_on"):
        server.pop(key)
    program = INTRUDER.replace("OUTSIDE", outside)
    server |= {"image": image.id, "entrypoint": ["python", "-c", program], "command": []}
    server["ports"][0]["published"] = str(port)
    if network == "default":
        server["networks"] = {"default": None}
    name = f"dsk-test-{os.getpid()}"
    for table in ("networks", "volumes"):
        for entry in told[table].values():
            entry.pop("name", None)
    file.write_text(json.dumps(told | {"name": name}), "utf-8")
    compose = ("compose", "--file", str(file), "--project-name", name)
    docker(*compose, "up", "--detach", "--no-build", "--pull=never")
    try:

        def ask() -> dict[str, Any]:
            url = f"http://127.0.0.1:{port}/"
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        assert wait_for(ask) == {
            "outside": "TimeoutError" if network == "closed" else "done",
            "/opt/x": "OSError",
            "/work/x": "OSError",
            "/home/dsk/x": "done",
            "/tmp/x": "done",
            "user": 1000,
        }
    finally:
        docker(*compose, "down", "--volumes", "--timeout=1")


def test_buildkit_itself_has_nothing_to_say_of_any_dockerfile() -> None:
    told = subprocess.run(
        ["docker", "buildx", "build", "--help"], check=True, capture_output=True, text=True
    )
    if "--check" not in told.stdout:
        pytest.skip("this docker-buildx has no --check: 0.15 and later have")
    check = ["docker", "buildx", "bake", "--check"]
    # What an image stands on is looked up, which a machine without a registry cannot.
    check += ["--set=*.args.BASE=scratch", "--set=*.args.DEVEL=scratch"]
    done = subprocess.run(check, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
