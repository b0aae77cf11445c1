"""The fork server of workers, with the sandbox left out, to measure the sandbox against."""

from __future__ import annotations

from dsk.ocr.pipeline import page_worker


def unconfined(*_: object, **__: object) -> None:
    """Leave the process as it is."""


if __name__ == "__main__":
    page_worker.confine = unconfined  # type: ignore[attr-defined]
    page_worker.main()
