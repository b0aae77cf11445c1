"""What a run leaves of a document: its text, and what else was asked for."""

from dsk.ocr.outputs.writing import write

__all__ = ["write"]
