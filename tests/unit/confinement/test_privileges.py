"""Privileges and limits: given up, and never raised."""

from __future__ import annotations

import resource
import subprocess
import sys


def output_of(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_capabilities_over_files_are_all_that_is_left() -> None:
    program = (
        "from dsk.confinement import privileges\n"
        "privileges.drop_capabilities()\n"
        "lines = [line.split() for line in open('/proc/self/status')]\n"
        "left = [int(line[1], 16) for line in lines if line[0] in ('CapEff:', 'CapPrm:')]\n"
        "print([word & ~0b1110 for word in left])\n"
    )
    assert output_of(program) == "[0, 0]"


def test_a_lower_limit_is_kept() -> None:
    program = (
        "import resource\n"
        "from dsk.confinement import privileges\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "privileges.limit(resource.RLIMIT_NOFILE, 256)\n"
        "privileges.limit(resource.RLIMIT_CORE, 0)\n"
        "print(*map(resource.getrlimit, (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)))\n"
    )
    assert output_of(program) == "(100, 100) (0, 0)"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100


def test_a_forked_process_dies_with_its_parent() -> None:
    program = (
        "import os, time\n"
        "from dsk.confinement import privileges\n"
        "process = privileges.fork()\n"
        "if process == 0:\n"
        "    time.sleep(60)\n"
        "print(process, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    # The output ends when the last process that holds it has ended.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=30
    )
    assert done.returncode == -9


def test_the_kernel_kills_it_first() -> None:
    program = (
        "from dsk.confinement import privileges\n"
        "privileges.be_killed_first()\n"
        "print(open('/proc/self/oom_score_adj').read())\n"
    )
    assert output_of(program) == "1000"


def test_one_descriptor_stays_and_nothing_else_is_heard_or_held() -> None:
    program = (
        "import os, sys\n"
        "from dsk.confinement import privileges\n"
        # As a library may do when it is imported.
        "held = [os.open('/dev/zero', os.O_RDWR) for _ in range(40)]\n"
        "os.dup2(held[0], 900)\n"
        "kept, answers = held[20], os.pipe()\n"
        "os.dup2(answers[1], kept)\n"
        "privileges.keep_descriptor(kept)\n"
        "os.write(1, b'words')\n"
        "os.write(2, b'words')\n"
        "assert os.read(0, 1) == b''\n"
        "for number in (*held, 900, *answers):\n"
        "    try:\n"
        "        os.fstat(number)\n"
        "    except OSError:\n"
        "        continue\n"
        "    assert number == kept, number\n"
        "os._exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
