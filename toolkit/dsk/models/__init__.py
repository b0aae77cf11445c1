"""Models of the DeepSeek-OCR family: one profile and one folder each."""
