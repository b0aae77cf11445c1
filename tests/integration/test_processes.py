"""Subprocesses: exit codes and signals come through, and nothing outlives us."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsk import processes
from dsk.errors import EngineMissing

LAUNCHER = """
import sys
from dsk.processes import Child
with Child([sys.executable, "-c", sys.argv[1], *sys.argv[2:]]) as child:
    sys.exit(child.wait())
"""
# A program with a child of its own; both say their process ids and sleep.
FAMILY = """
import os, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), grandchild.pid, flush=True)
time.sleep(600)
"""


TAKES_CTRL_C = """
import time
try:
    print(0, flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    raise SystemExit(77)
"""

Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a program under a launcher, in a session of its own, as from a terminal."""
    with contextlib.ExitStack() as ended:

        def start(program: str, launcher: str = LAUNCHER) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", launcher, program],
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            ended.enter_context(process)
            ended.callback(process.kill)
            return process

        yield start


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(*pids: int) -> bool:
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def told(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout
    return [int(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize("code", [0, 1, 11, 130])
def test_the_exit_code_comes_through(code: int, launch: Launch) -> None:
    assert launch(f"raise SystemExit({code})").wait(20) == code


def test_a_program_that_a_signal_killed_exits_as_in_a_shell(launch: Launch) -> None:
    assert launch("import os; os.kill(os.getpid(), 9)").wait(20) == 128 + 9


def test_ctrl_c_reaches_the_program_once(launch: Launch) -> None:
    program = """
import signal, sys, time
count = 0
def heard(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, heard)
print(0, flush=True)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    time.sleep(0.05)
print(count, flush=True)
"""
    launcher = launch(program)
    told(launcher)
    os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert told(launcher) == [1]
    assert launcher.wait(20) == 0


def test_a_program_that_handles_ctrl_c_keeps_its_own_exit_code(launch: Launch) -> None:
    launcher = launch(TAKES_CTRL_C)
    told(launcher)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 77


def test_ctrl_c_before_anybody_waits_reaches_the_program_too(launch: Launch) -> None:
    slow = LAUNCHER.replace("    sys.exit", "    import time; time.sleep(1)\n    sys.exit")
    launcher = launch(TAKES_CTRL_C, slow)
    told(launcher)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 77


def test_two_programs_at_once_both_hear_of_it(launch: Launch) -> None:
    two = """
import sys
from dsk.processes import Child
children = [Child([sys.executable, "-c", sys.argv[1]]) for _ in range(2)]
sys.exit(sum(child.wait() for child in children))
"""
    launcher = launch(TAKES_CTRL_C, two)
    told(launcher)
    told(launcher)
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 2 * 77


def test_afterwards_ctrl_c_is_ours_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with processes.Child([sys.executable, "-c", "pass"]) as child:
        assert signal.getsignal(signal.SIGINT) != before
        child.wait()
    assert signal.getsignal(signal.SIGINT) == before


def test_the_third_ctrl_c_kills_a_program_that_will_not_end(launch: Launch) -> None:
    program = """
import signal, time
signal.signal(signal.SIGINT, lambda *_: print(0, flush=True))
print(0, flush=True)
while True:
    time.sleep(0.05)
"""
    launcher = launch(program)
    for _ in range(3):
        told(launcher)
        launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_a_launcher_that_is_killed(number: signal.Signals, launch: Launch) -> None:
    launcher = launch(FAMILY)
    child, grandchild = told(launcher)
    launcher.send_signal(number)
    launcher.wait(20)
    assert gone(child, grandchild)


def test_what_a_program_leaves_running_is_ended(launch: Launch) -> None:
    launcher = launch(FAMILY.replace("time.sleep(600)\n", "", 1).replace("time.sleep(600)\n", ""))
    _, grandchild = told(launcher)
    assert launcher.wait(20) == 0
    assert gone(grandchild)


def test_a_program_that_ignores_the_request_to_end_is_killed(launch: Launch) -> None:
    launcher = launch("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + FAMILY)
    child, grandchild = told(launcher)
    launcher.kill()
    launcher.wait(20)
    assert gone(child, grandchild)


def test_leaving_the_block_ends_the_program() -> None:
    with processes.Child([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE) as child:
        assert child.process.stdout
        pids = [int(word) for word in child.process.stdout.readline().split()]
    assert gone(*pids)
    child.process.stdout.close()


def test_follow_passes_on_both_streams_line_by_line() -> None:
    heard: list[str] = []
    program = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)"
    code = processes.follow(
        [sys.executable, "-c", program], lambda line: heard.append(line) if line else None
    )
    assert (code, heard) == (3, ["one", "two"])


def test_follow_speaks_in_a_silence() -> None:
    heard: list[str | None] = []
    processes.follow([sys.executable, "-c", "import time; time.sleep(1)"], heard.append)
    assert heard.count(None) >= 2


def test_followed_programs_die_with_a_killed_follower(launch: Launch) -> None:
    launcher = """
import sys
from dsk.processes import follow
follow([sys.executable, "-c", sys.argv[1]], lambda line: line and print(line, flush=True))
"""
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    follower = launch(program, launcher)
    [child] = told(follower)
    follower.kill()
    follower.wait(20)
    assert gone(child)


def test_capture_keeps_both_streams_apart() -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"
    done = processes.capture([sys.executable, "-c", program], seconds=20)
    assert (done.code, done.stdout, done.stderr) == (4, "out\n", "err\n")


def test_a_program_that_takes_too_long_is_named() -> None:
    with pytest.raises(EngineMissing, match=r"'sleep' did not finish within 0\.1 s"):
        processes.capture(["sleep", "600"], seconds=0.1)


def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(EngineMissing, match="'no-such-program'"):
        processes.capture(["no-such-program"], seconds=1)
    with pytest.raises(EngineMissing, match="'no-such-program'"):
        processes.Child(["no-such-program"])
    with pytest.raises(EngineMissing, match=r"'no-such-program'.*: apt-get install it"):
        processes.find("no-such-program", do="apt-get install it")
