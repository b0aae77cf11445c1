"""Pins of a model's files: their paths, sizes and hashes at the revision that the matrix pins."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from dsk.frozen import Frozen


def _safe_path(path: str) -> str:
    """Return the path of a file below a folder.

    Raises:
        ValueError: it leads out of the folder, or is not for a person's eyes.
    """
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
        message = "a relative path of printable characters, without . and .."
        raise ValueError(message)
    return path


FilePath = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_safe_path)]


class FilePin(Frozen):
    """A file of a pinned revision, as `compat/models.toml` has it; None is not known.

    Args:
        size: in bytes.
        sha256: of the content.
    """

    size: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
