"""The test model: DeepSeek-OCR's architecture with computed weights, that reads an eye chart."""
