"""What a run leaves of a document: its text, and what else was asked for."""

from dsk.ocr.outputs.writing import DEFAULT_FORMATS, FORMATS, write

__all__ = ["DEFAULT_FORMATS", "FORMATS", "write"]
