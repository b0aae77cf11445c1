"""Pipeline: pages are rendered, read and written at the same time."""
