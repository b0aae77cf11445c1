"""Limits on what a document may cost this machine, which no honest one reaches, and their flags."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a run. Each is a flag of `dsk run`: ``max_pages`` is ``--max-pages``."""

    max_file_mb: int = field(default=4096, metadata={"help": "Largest file, in MB of 10^6 bytes."})
    max_pages: int = field(default=50_000, metadata={"help": "Most pages of a document."})
    # A0 at 144 dpi has 32 million; the largest view and its tiles show the model 3.5 million.
    max_pixels: int = field(
        default=50_000_000,
        metadata={"help": "Most pixels of a rendered page; larger ones get a lower resolution."},
    )
    # The largest camera sensors have 200 million.
    max_image_pixels: int = field(
        default=250_000_000, metadata={"help": "Most pixels of an image file; refused beyond."}
    )
    render_seconds: int = field(
        default=120, metadata={"help": "Longest time that rendering a page may take."}
    )
    # 8192 tokens at 5 a second, a slow CPU's, take half of it.
    read_seconds: int = field(
        default=3600, metadata={"help": "Longest time that the engine may have a page."}
    )
    max_boxes: int = field(default=5_000, metadata={"help": "Most boxes taken from a page's text."})


DEFAULT_LIMITS: Final = Limits()


def flag(name: str) -> str:
    """Return the flag that raises the limit called ``name``."""
    return f"--{name.replace('_', '-')}"


def described() -> list[tuple[str, int, str]]:
    """Return each limit's name, default and meaning."""
    return [(limit.name, limit.default, limit.metadata["help"]) for limit in _fields()]


def _fields() -> tuple[Any, ...]:
    return fields(Limits)
