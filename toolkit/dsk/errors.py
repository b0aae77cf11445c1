"""Every error a user can meet, each kind with its own exit code.

A message is one line of advice: what happened, with the value in question, then what to do.
"""

from __future__ import annotations

from typing import ClassVar


class DskError(Exception):
    """Base of all errors that are the user's to see. ``exit_code`` is the process's exit status.

    Args:
        what: what happened, naming the value in question.
        do: what to do about it, if there is something to do; a command where there is one.
    """

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "unexpected error"

    def __init__(self, what: str, *, do: str = "") -> None:
        super().__init__(f"{what}: {do}" if do else what)
        self.what = what
        self.do = do


class UsageProblem(DskError):
    """The command line asks for something that cannot be: an unknown name, a range outside."""

    exit_code = 2
    meaning = "usage"


class MatrixInvalid(DskError):
    """The compatibility matrix, a lock or a model's configuration is not valid."""

    exit_code = 3
    meaning = "matrix or configuration invalid"


class NoStackFits(DskError):
    """No stack's floors all hold on this host."""

    exit_code = 4
    meaning = "no stack fits"


class StackConflict(DskError):
    """A stack's pins contradict the packages' own metadata, and no override states it."""

    exit_code = 5
    meaning = "conflict"


class DoctorFoundErrors(DskError):
    """`dsk doctor` found errors."""

    exit_code = 6
    meaning = "doctor found errors"


class EngineMissing(DskError):
    """Docker, vLLM or a stack's environment is missing or too old."""

    exit_code = 7
    meaning = "engine (Docker, vLLM) missing or too old"


class BuildFailed(DskError):
    """An image, or a package in it, did not build."""

    exit_code = 8
    meaning = "build failed"


class DriftFound(DskError):
    """A generated file is not what its sources render to."""

    exit_code = 9
    meaning = "drift"


class VerificationFailed(DskError):
    """What was read, hashed or rebuilt is not what it should be."""

    exit_code = 10
    meaning = "verification failed"


class PagesDegraded(DskError):
    """Some pages did not come out whole; the ledger says which and why."""

    exit_code = 11
    meaning = "some pages degraded or failed"


class InputUnreadable(DskError):
    """An input is missing, damaged, encrypted or not a document."""

    exit_code = 12
    meaning = "input unreadable or encrypted"


class Interrupted(DskError):
    """The user pressed Ctrl-C, or the process was asked to end."""

    exit_code = 130
    meaning = "interrupted"


KINDS: tuple[type[DskError], ...] = (
    DskError,
    UsageProblem,
    MatrixInvalid,
    NoStackFits,
    StackConflict,
    DoctorFoundErrors,
    EngineMissing,
    BuildFailed,
    DriftFound,
    VerificationFailed,
    PagesDegraded,
    InputUnreadable,
    Interrupted,
)
