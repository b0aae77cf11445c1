"""DeepSeek-OCR for vLLM 0.8's V0 engine."""
