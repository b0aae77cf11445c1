"""dsk: DeepSeek-OCR, the same on every machine."""

__version__ = "0.1.0"
