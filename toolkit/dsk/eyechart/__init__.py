"""Test model: DeepSeek-OCR's architecture with computed weights, which reads eye charts."""
