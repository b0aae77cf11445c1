"""Limits on what a document may cost this machine, which no honest one reaches, and their flags."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final


def _limit(default: int, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a run. Each is a flag of `dsk run`: ``max_pages`` is ``--max-pages``."""

    max_file_mb: int = _limit(4096, "Maximum size of a file, in MB of 10^6 bytes.")
    max_pages: int = _limit(50_000, "Maximum pages of a document.")
    # A0 at 144 dpi has 32 million; the largest view and its tiles show the model 3.5 million.
    max_pixels: int = _limit(
        50_000_000, "Maximum pixels of a rendered page; a larger one is rendered at fewer dpi."
    )
    # The largest camera sensors have 200 million.
    max_image_pixels: int = _limit(
        250_000_000, "Maximum pixels of an image file; a larger one is refused."
    )
    render_seconds: int = _limit(120, "Maximum time for rendering a page.")
    # 8192 tokens at 5 a second, a slow CPU's, take half of it.
    read_seconds: int = _limit(3600, "Maximum time that the engine may take for a page.")
    # A first start compiles kernels, for minutes; weights on a slow network disk take as long.
    load_seconds: int = _limit(1800, "Maximum time that an engine may take to load the model.")
    max_boxes: int = _limit(5_000, "Maximum boxes taken from a page's text.")


DEFAULT_LIMITS: Final = Limits()


def flag(name: str) -> str:
    """Return the flag that raises the limit called ``name``."""
    return f"--{name.replace('_', '-')}"


def described() -> list[tuple[str, int, str]]:
    """Return each limit's name, default and meaning."""
    return [(limit.name, limit.default, limit.metadata["help"]) for limit in _fields()]


def _fields() -> tuple[Any, ...]:
    return fields(Limits)
