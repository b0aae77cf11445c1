"""DeepSeek-OCR for vLLM's V0 engine, and corrections for V1, through vLLM's own plugin entry point."""
