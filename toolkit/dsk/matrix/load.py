"""Reading the matrix from TOML; an error names the file, the key, the value and what is allowed."""

from __future__ import annotations

import functools
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.frozen import Frozen
from dsk.matrix.card_names import spellings
from dsk.matrix.catalog import Matrix
from dsk.matrix.digests import FILE, RecordedDigest, with_digests
from dsk.matrix.licences import FILE as LICENCES_FILE
from dsk.matrix.licences import PackageLicence
from dsk.matrix.models import Model
from dsk.matrix.profiles import Gpu
from dsk.matrix.stack import Disagreement, Stack

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

T = TypeVar("T", bound=Frozen)


def load_matrix(folder: Path | None = None) -> Matrix:
    """Load the matrix of a folder (default: `dsk.paths.compat`), once a process.

    Raises:
        MatrixInvalid: a file is invalid; the message names file, key and value.
    """
    return _load((folder or paths.compat()).resolve())


def load_models(folder: Path | None = None) -> dict[str, Model]:
    """Load the models of a folder's matrix by their ids, in the file's order, once a process.

    Raises:
        MatrixInvalid: see `load_matrix`.
    """
    return _models((folder or paths.compat()).resolve())


def load_candidate(file: Path) -> Stack:
    """Load a candidate's file, as it is now.

    Raises:
        MatrixInvalid: it is invalid; the message names key and value.
    """
    place = {"folder": file.parent.parent, "lock_folder": "candidates"}
    return _record(file, Stack, _parse(file) | {"id": file.stem} | place, "")


@functools.cache
def load_licences(folder: Path) -> dict[str, PackageLicence]:
    """Load the recorded licences of packages of a matrix's folder, once a process.

    Raises:
        MatrixInvalid: see `load_matrix`.
    """
    file = folder / LICENCES_FILE
    return _tables(file, PackageLicence) if file.is_file() else {}


@functools.cache
def _models(folder: Path) -> dict[str, Model]:
    file = folder / "models.toml"
    models = _tables(file, Model)
    if not models:
        _refuse(file, "the whole file", "no table", "a table for each model")
    _refuse_shared_spellings(file, {model.id: model.spellings for model in models.values()})
    return models


# The files do not change during a command, and reading all of them takes a moment.
@functools.cache
def _load(folder: Path) -> Matrix:
    gpus_file = folder / "gpus.toml"
    gpus = _tables(gpus_file, Gpu)
    _refuse_shared_spellings(gpus_file, {gpu.id: spellings(gpu) for gpu in gpus.values()})
    digests = _digests(folder)
    return Matrix(
        folder=folder,
        gpus=gpus,
        models=_models(folder),
        stacks={name: with_digests(stack, digests) for name, stack in _stacks(folder).items()},
        candidates={
            name: with_digests(stack, digests) for name, stack in _candidates(folder).items()
        },
        digests=digests,
    )


def _digests(folder: Path) -> dict[str, RecordedDigest]:
    file = folder / FILE
    return _tables(file, RecordedDigest) if file.is_file() else {}


def _stacks(folder: Path) -> dict[str, Stack]:
    files = sorted((folder / "stacks").glob("*.toml"))
    if not files:
        _refuse(folder / "stacks", "*.toml", "no file", "a file for each stack")
    stacks: dict[str, Stack] = {}
    for file in files:
        stack = _record(file, Stack, _parse(file) | {"id": file.stem, "folder": folder}, "")
        # Equal ranks would leave the choice to the order of the file names.
        for other in stacks.values():
            if other.rank == stack.rank and not (other.earlier or stack.earlier):
                allowed = f"a rank of its own; {other.id} has it already"
                _refuse(file, "rank", str(stack.rank), allowed)
        stacks[file.stem] = stack
    for stack in stacks.values():
        if stack.base not in stacks:
            allowed = f"a current version beside it, {stack.base}.toml"
            _refuse(folder / "stacks" / f"{stack.id}.toml", "id", repr(stack.id), allowed)
    return stacks


def _candidates(folder: Path) -> dict[str, Stack]:
    files = sorted((folder / "candidates").glob("*.toml"))
    return {file.stem: load_candidate(file) for file in files}


def _tables(file: Path, kind: type[T]) -> dict[str, T]:
    records = {}
    for name, table in _parse(file).items():
        if not isinstance(table, dict):
            # A key at the top of the file, outside of every table.
            _refuse(file, name, repr(table), "a table")
        records[name] = _record(file, kind, table | {"id": name}, f"{name}.")
    return records


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _refuse(file, "the whole file", str(error), "TOML in UTF-8")
    except OSError as error:
        _refuse(file, "the whole file", error.strerror or str(error), "a readable file")


def _record(file: Path, kind: type[T], values: dict[str, Any], prefix: str) -> T:
    try:
        return kind.model_validate(values)
    except ValidationError as invalid:
        # One fault at a time: one misspelt table name would list all of its keys as missing.
        first = invalid.errors(include_url=False)[0]
        key, found, allowed = _explained(kind, first)
        _refuse(file, prefix + key, found, allowed)


def _explained(kind: type[BaseModel], error: ErrorDetails) -> tuple[str, str, str]:
    """Return key, value found and what is allowed, from one of pydantic's errors."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Disagreement):
        return cause.key, cause.found, cause.allowed
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        owner = _owner(kind, error["loc"][:-1])
        return key, "an unknown key", "one of " + ", ".join(owner.model_fields)
    found = "nothing" if error["type"] == "missing" else _short(error["input"])
    return key, found, _description(kind, error["loc"])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _owner(kind: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the record class that a location ends in."""
    for part in loc:
        inner = _inner(kind, part) if isinstance(part, str) else None
        kind = inner or kind
    return kind


def _description(kind: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Return the description of the last field that a location passes through."""
    described = ""
    for part in loc:
        if isinstance(part, str) and part in kind.model_fields:
            described = kind.model_fields[part].description or described
            kind = _inner(kind, part) or kind
    return described


def _inner(kind: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the record class within a field's annotation, if there is one."""
    field = kind.model_fields.get(name)
    # An annotation may be Stack, Stack | None, tuple[Stack, ...] or dict[str, Stack].
    pending: list[Any] = [field.annotation] if field else []
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending.extend(getattr(annotation, "__args__", ()))
    return None


def _refuse_shared_spellings(file: Path, spellings: dict[str, set[str]]) -> None:
    """Refuse records, each with all spellings of its names, of which two share one."""
    owners: dict[str, str] = {}
    # "rtx 4090" must not mean two cards, nor "ocr2" two models.
    for record, own in spellings.items():
        for spelling in sorted(own):
            if spelling in owners:
                allowed = f"a spelling of its own; {owners[spelling]} has it already"
                _refuse(file, f"{record}.aliases", repr(spelling), allowed)
            owners[spelling] = record


def _refuse(file: Path, key: str, found: str, allowed: str) -> NoReturn:
    what = f"{file}, key '{key}': found {found}"
    raise MatrixInvalid(what, do=f"expected {allowed}")
