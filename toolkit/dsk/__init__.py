"""dsk: the DeepSeek-OCR family, the same on every machine."""

__version__ = "0.1.0"
