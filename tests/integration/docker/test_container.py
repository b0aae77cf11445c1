"""A stack's image as a runtime: what is seen inside, who it runs as, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymupdf
import pytest
from tests.integration.docker.conftest import Caller, docker, imported, running

from dsk.errors import EngineMissing, UsageProblem
from dsk.images.local_images import LocalImage, image_for
from dsk.ocr.schema.plan_format import plan_format
from dsk.runtime.container import container, was_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsk.matrix import Stack

pytestmark = pytest.mark.docker

MADE_UP = 12345
"""A user that this machine has no name for."""


def said(stack: Stack, image: LocalImage, out: Path, program: str, *reads: Path) -> Any:
    """What a program in the container prints, as JSON."""
    with (
        container(stack, image, reads=reads, out=out) as runtime,
        runtime.start(
            "dsk_test_speaker", [f"import json, os, sys; {program}"], stdout=subprocess.PIPE
        ) as child,
    ):
        assert child.process.stdout
        text = child.process.stdout.read()
        assert child.wait() == 0
    return json.loads(text)


def test_it_has_no_network_and_no_privilege_and_writes_to_the_outputs_alone(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    program = """
import socket
def writable(place):
    try:
        open(place + '/trial', 'w').close()
    except OSError:
        return False
    return True
status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
print(json.dumps({
    'interfaces': [name for _, name in socket.if_nameindex()],
    'root': os.geteuid() == 0,
    'capabilities': [int(status[k], 16) for k in ('CapEff', 'CapPrm', 'CapBnd')],
    'no new privileges': status['NoNewPrivs'].strip(),
    'writable': [p for p in ('/', '/usr', '/work', %r, '/tmp') if writable(p)],
    'shm': os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize,
}))
"""
    found = said(stack, image, tmp_path, program % str(tmp_path))
    assert found == {
        "interfaces": ["lo"],
        "root": False,
        "capabilities": [0, 0, 0],
        "no new privileges": "1",
        "writable": [str(tmp_path), "/tmp"],
        "shm": 8 * 2**30,
    }


def test_it_can_take_neither_all_processes_nor_all_memory_of_the_machine(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    program = """
import threading
threading.stack_size(65536)
end = threading.Event()
started = 0
try:
    while started < 100_000:
        threading.Thread(target=end.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
files = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']
memory = [int(open(f).read()) for f in files if os.path.exists(f)]
print(json.dumps([started, memory]), flush=True)
os._exit(0)  # the threads need not end in order
"""
    started, (memory,) = said(stack, image, tmp_path, program)
    assert 1000 < started < 4096 + 64 * (os.cpu_count() or 1)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0.5 * machine < memory <= machine - 2**30


def test_inputs_are_seen_at_their_own_paths_and_cannot_be_changed(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    scans = tmp_path / 'scans, of "May"'
    scans.mkdir()
    (scans / "one.pdf").write_text("one")
    secret = tmp_path / "secret.pdf"
    secret.write_text("two")
    secret.chmod(0o600)
    out = tmp_path / "out"
    out.mkdir()
    places = [str(scans / "one.pdf"), str(secret)]
    program = f"print(json.dumps([(open(p).read(), os.access(p, os.W_OK)) for p in {places}]))"
    assert said(stack, image, out, program, scans, secret) == [["one", False], ["two", False]]


def test_what_a_models_folder_links_to_is_seen_too(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c0ffee"
    blobs = tmp_path / "models--a--b" / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    (blobs / "f00d").write_text("weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/f00d")
    program = f"print(json.dumps(open({str(snapshot / 'model.safetensors')!r}).read()))"
    out = tmp_path / "out"
    out.mkdir()
    assert said(stack, image, out, program, snapshot) == "weights"


def test_what_lies_in_a_home_that_the_image_closes_is_seen(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/root") as folder:
        file = Path(folder, "a.pdf")
        file.write_text("mine")
        program = f"print(json.dumps(open({str(file)!r}).read()))"
        assert said(stack, image, tmp_path, program, file) == "mine"


def test_a_folder_that_would_hide_the_images_own_files_is_refused(
    stack: Stack, image: LocalImage
) -> None:
    with (
        pytest.raises(UsageProblem, match="would hide"),
        container(stack, image, reads=[], out=Path("/usr")),
    ):
        pass


def test_the_stacks_variables_and_the_users_own_of_the_engine_are_set_inside(
    stack: Stack, image: LocalImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("UNRELATED", "x")
    names = ["DSK_TEST_STACK_SAYS", "VLLM_LOGGING_LEVEL", "HF_HUB_OFFLINE", "UNRELATED", "HOME"]
    program = f"print(json.dumps([os.environ.get(n) for n in {names}]))"
    assert said(stack, image, tmp_path, program) == ["hello", "DEBUG", "1", None, "/tmp"]


@pytest.mark.parametrize("code", [0, 11, 12, 130])
def test_exit_codes_come_through(
    stack: Stack, image: LocalImage, tmp_path: Path, code: int
) -> None:
    with container(stack, image, reads=[], out=tmp_path) as runtime:
        assert runtime.start("dsk_test_speaker", [f"sys.exit({code})"]).wait() == code


def test_what_root_lends_is_roots_again_and_so_is_what_was_written(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    book = tmp_path / "book"
    book.mkdir()
    (book / "pages.jsonl").write_text("1\n")
    os.chown(book / "pages.jsonl", 0, 1234)
    program = f"""
open({str(book / "pages.jsonl")!r}, 'a').write('2\\n')
os.makedirs({str(tmp_path / "new" / "images")!r})
open({str(tmp_path / "new" / "images" / "a.jpg")!r}, 'w').close()
"""
    with container(stack, image, reads=[], out=tmp_path, folders=[book]) as runtime:
        assert runtime.start("dsk_test_speaker", [f"import os\n{program}"]).wait() == 0
    assert (book / "pages.jsonl").read_text() == "1\n2\n"
    assert (book / "pages.jsonl").stat().st_gid == 1234
    owners = {path.stat().st_uid for path in [tmp_path, *tmp_path.rglob("*")]}
    assert owners == {os.geteuid()}


# ---- the image that is chosen ----


def test_the_image_of_a_stack_is_found_by_its_labels(stack: Stack, image: LocalImage) -> None:
    assert image_for(stack, plan_format=plan_format()).id == image.id


def test_an_image_of_another_lock_is_refused_with_the_command_that_builds_it(
    stack: Stack, image: LocalImage
) -> None:
    labels = {"dsk.stack": "tiny", "dsk.lock.sha256": "0" * 64}
    other = imported(bytes(10240), labels, "dsk-test:other-lock")
    try:
        with pytest.raises(EngineMissing, match=r"another lock.*: dsk build --stack tiny"):
            image_for(stack, "dsk-test:other-lock", plan_format=plan_format())
        assert image_for(stack, plan_format=plan_format()).id == image.id
    finally:
        docker("image", "rm", other)


def test_an_image_that_is_not_here_is_not_fetched(stack: Stack, image: LocalImage) -> None:
    with pytest.raises(EngineMissing, match="docker pull dsk-test:absent, or dsk build"):
        image_for(stack, "dsk-test:absent", plan_format=plan_format())


def test_an_image_that_dsk_did_not_build_is_refused(stack: Stack, image: LocalImage) -> None:
    other = imported(bytes(10240), {}, "dsk-test:foreign")
    try:
        with pytest.raises(EngineMissing, match="not made by dsk build"):
            image_for(stack, "dsk-test:foreign", plan_format=plan_format())
    finally:
        docker("image", "rm", other)


# ---- dsk run ----


@pytest.fixture
def call(matrix: Path, image: LocalImage) -> Iterator[Callable[[int], Caller]]:
    """A caller, with a document and a model to read it with."""
    with tempfile.TemporaryDirectory(prefix="dsk-test-") as name:
        Path(name).chmod(0o755)  # pytest's own are closed to all but root
        yield lambda uid: _furnished(Path(name), uid, matrix)


def _furnished(folder: Path, uid: int, matrix: Path) -> Caller:
    place = folder / f"home-{uid}"
    (place / "model").mkdir(parents=True)
    (place / "out").mkdir()
    for name, content in (
        ("config.json", b'{"architectures": ["DeepseekOCRForCausalLM"]}'),
        ("model.safetensors", b""),
        ("eyechart.json", b"{}"),
    ):
        (place / "model" / name).write_bytes(content)
    document = pymupdf.open()
    document.new_page(width=100, height=100)
    document.save(place / "page.pdf")
    for path in (place, *place.rglob("*")):
        os.chown(path, uid, uid)
    return Caller(uid, place, matrix)


def arguments(caller: Caller, program: str) -> list[object]:
    """`dsk run pdf` whose stand-in for a runner does what a program says."""
    given: list[object] = ["run", "pdf", caller.folder / "page.pdf", "-o", caller.folder / "out"]
    given += ["--model", caller.folder / "model", "--stack", "tiny", "--prompt", program]
    return [*given, "--runtime", "container"]


WRITE = """
folder = pathlib.Path(job["documents"][0]["folder"])
folder.mkdir()
(folder / "page.md").write_text(str(os.geteuid()))
"""


@pytest.mark.parametrize("uid", [0, MADE_UP])
def test_outputs_are_the_callers_and_nobody_is_root_inside(
    call: Callable[[int], Caller], uid: int
) -> None:
    caller = call(uid)
    done = caller.dsk(*arguments(caller, WRITE))
    assert done.returncode == 0, done.stderr
    out = caller.folder / "out"
    assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {uid}
    inside = int((out / "page" / "page.md").read_text())
    assert inside == uid if uid else inside != 0


@pytest.mark.parametrize("code", [10, 11, 12])
def test_the_runners_exit_code_is_the_commands(call: Callable[[int], Caller], code: int) -> None:
    caller = call(0)
    program = f"tell(event='failed', message='the reason'); sys.exit({code})"
    done = caller.dsk(*arguments(caller, program))
    assert done.returncode == code
    assert ("the reason" in done.stderr) == (code != 11)


def test_a_talkative_engine_does_not_stand_still(call: Callable[[int], Caller]) -> None:
    caller = call(0)
    program = "[print('x' * 1000, file=f) for f in (sys.stdout, sys.stderr) for _ in range(5000)]"
    assert caller.dsk(*arguments(caller, program)).returncode == 0
    assert (caller.folder / "out" / "engine.log").stat().st_size == 5000 * 1001


BUSY = """
try:
    tell(event="starting", what="busy")
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path(job["documents"][0]["folder"]).with_name("left").touch()
    sys.exit(130)
"""


@contextlib.contextmanager
def busy(caller: Caller, program: str = BUSY) -> Iterator[subprocess.Popen[str]]:
    """A run that has begun, in a session of its own, as from a terminal."""
    process = subprocess.Popen(
        caller.command(*arguments(caller, program)),
        env=caller.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr
        assert any("busy" in line for line in process.stderr)
        assert running()
        yield process
    finally:
        process.kill()
        process.communicate()


def gone(seconds: float = 30) -> bool:
    """Whether every container goes within that time."""
    deadline = time.monotonic() + seconds
    while running() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not running()


def test_ctrl_c_reaches_the_runner_which_leaves_in_good_order(
    call: Callable[[int], Caller],
) -> None:
    caller = call(0)
    with busy(caller) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
    assert running() == []
    assert (caller.folder / "out" / "left").stat().st_uid == 0


def test_a_request_to_end_ends_the_container(call: Callable[[int], Caller]) -> None:
    with busy(call(0)) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    # Docker may still be removing it by itself, and then refuses to be told to.
    assert gone(5)


def test_the_third_ctrl_c_ends_a_runner_that_does_not_listen(
    call: Callable[[int], Caller],
) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + BUSY
    with busy(call(0), deaf) as process:
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        process.communicate(timeout=30)
    assert running() == []


def test_a_container_does_not_outlive_a_dsk_that_was_killed(
    call: Callable[[int], Caller],
) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + BUSY
    with busy(call(MADE_UP), deaf) as process:
        process.kill()
        process.communicate(timeout=30)
        assert gone()


def test_dry_run_names_an_image_that_is_missing(
    call: Callable[[int], Caller],
) -> None:
    caller = call(0)
    done = caller.dsk(*arguments(caller, WRITE), "--image", "dsk-test:absent", "--dry-run")
    assert done.returncode == EngineMissing.exit_code
    assert "docker pull dsk-test:absent" in done.stderr


def test_sys_executable_is_not_what_runs_inside(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    assert said(stack, image, tmp_path, "print(json.dumps(sys.executable))") != sys.executable


@pytest.mark.parametrize(("takes", "killed"), [(10**9, True), (10, False)])
def test_the_out_of_memory_killer_is_recognised_when_the_container_is_gone(
    image: LocalImage, takes: int, *, killed: bool
) -> None:
    began, name = time.time(), f"dsk-test-memory-{os.getpid()}-{takes}"
    limits = ["--memory=64m", "--memory-swap=64m", "--network=none", "--entrypoint=python"]
    program = f"print(len(bytearray({takes})))"
    command = ["docker", "run", "--rm", f"--name={name}", *limits, image.id, "-c", program]
    code = subprocess.run(command, check=False, timeout=120, capture_output=True).returncode
    assert code == (137 if killed else 0)
    assert name not in docker("ps", "--all", "--format", "{{.Names}}")
    assert was_out_of_memory(name, began) == killed


def test_the_end_of_a_container_is_its_programs(
    stack: Stack, image: LocalImage, tmp_path: Path
) -> None:
    program = "import os; os.kill(os.getpid(), 11)"
    with (
        container(stack, image, reads=[], out=tmp_path) as runtime,
        runtime.start("dsk_test_speaker", [program]) as child,
    ):
        assert child.wait() == 139
        assert child.described_end() == "status 139 (SIGSEGV: a crash in compiled code)"
