"""DeepSeek-OCR: its profile."""
