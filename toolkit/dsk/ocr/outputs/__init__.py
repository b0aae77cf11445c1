"""What a run leaves of a document: its text, and what else was asked for."""

from dsk.ocr.outputs.writer import write

__all__ = ["write"]
