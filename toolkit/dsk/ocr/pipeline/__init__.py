"""The pipeline: pages are rendered, read and written at once."""
