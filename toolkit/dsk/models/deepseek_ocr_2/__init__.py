"""DeepSeek-OCR-2: its profile."""
