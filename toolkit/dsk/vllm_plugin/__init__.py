"""DeepSeek-OCR for vLLM's V0 engine and corrections for V1, as a vLLM plugin."""
