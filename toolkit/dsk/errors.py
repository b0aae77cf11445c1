"""Every error a user can meet, each kind with its own exit code.

A message is one line of advice: what happened, with the value in question, then what to do.
"""

from __future__ import annotations

from typing import ClassVar


class DskError(Exception):
    """Base of all errors that a user may see; ``exit_code`` is the exit status of the process.

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
    """A command line that cannot be carried out: an unknown name, a value out of range."""

    exit_code = 2
    meaning = "usage"


class MatrixInvalid(DskError):
    """An invalid compatibility matrix, lock or model configuration."""

    exit_code = 3
    meaning = "matrix or configuration invalid"


class NoStackFits(DskError):
    """A host that lacks some minimum of every stack."""

    exit_code = 4
    meaning = "no stack fits"


class StackConflict(DskError):
    """Pins that contradict the packages' own metadata without a stated override."""

    exit_code = 5
    meaning = "conflict"


class DoctorFoundErrors(DskError):
    """Errors found by `dsk doctor`."""

    exit_code = 6
    meaning = "doctor found errors"


class EngineMissing(DskError):
    """A missing or outdated Docker, vLLM or stack environment."""

    exit_code = 7
    meaning = "engine (Docker, vLLM) missing or too old"


class BuildFailed(DskError):
    """A failed build of an image, or of a package in it."""

    exit_code = 8
    meaning = "build failed"


class DriftFound(DskError):
    """A generated file that differs from what its sources render to."""

    exit_code = 9
    meaning = "drift"


class VerificationFailed(DskError):
    """Text, bytes or an image that differ from what they should be."""

    exit_code = 10
    meaning = "verification failed"


class PagesDegraded(DskError):
    """Pages that failed or are incomplete; the ledger names them and the reasons."""

    exit_code = 11
    meaning = "some pages degraded or failed"


class InputUnreadable(DskError):
    """An input that is missing, damaged, encrypted or not a document."""

    exit_code = 12
    meaning = "input unreadable or encrypted"


class Interrupted(DskError):
    """A stop by Ctrl-C or by a signal."""

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
