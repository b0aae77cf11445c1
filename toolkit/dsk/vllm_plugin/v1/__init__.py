"""DeepSeek-OCR for vLLM's V1 engine."""
