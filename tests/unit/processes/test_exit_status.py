"""Exit statuses in words."""

from __future__ import annotations

import pytest

from dsk.processes.exit_status import OomVerdict, described, shell_code


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (3, 3), (-9, 137), (-11, 139)])
def test_a_signal_is_128_and_its_number_as_in_a_shell(returncode: int, code: int) -> None:
    assert shell_code(returncode) == code


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "status 0"),
        (1, "status 1"),
        (255, "status 255"),
        (135, "status 135 (SIGBUS: /dev/shm is full, or a file that it had mapped became shorter)"),
        (139, "status 139 (SIGSEGV: a crash in compiled code)"),
        (143, "status 143 (SIGTERM: somebody asked it to end)"),
        (130, "status 130 (SIGINT)"),
    ],
)
def test_a_signal_has_its_name_and_usual_cause(code: int, words: str) -> None:
    assert described(code) == words


@pytest.mark.parametrize(
    ("oom", "words"),
    [
        ("killed", "SIGKILL: the kernel's out-of-memory killer"),
        ("perhaps", "SIGKILL: probably the kernel's out-of-memory killer"),
        ("no", "SIGKILL: somebody killed it; not the kernel's out-of-memory killer"),
        ("unknown", "SIGKILL: somebody killed it, or the kernel did for lack of memory"),
    ],
)
def test_the_out_of_memory_killer_is_named_as_far_as_it_is_known(
    oom: OomVerdict, words: str
) -> None:
    assert described(137, oom).startswith(f"status 137 ({words}")


def test_a_program_that_ends_because_a_process_of_its_own_was_killed_says_so() -> None:
    assert described(1, "killed") == (
        "status 1 (meanwhile the kernel's out-of-memory killer ended a process here)"
    )
    assert described(1, "perhaps") == "status 1"
