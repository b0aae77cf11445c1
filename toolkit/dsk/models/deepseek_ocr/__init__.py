"""DeepSeek-OCR: its resolutions, tiles and prompts."""
