"""Data that every part of a run may import: job, events, page records, formats, limits."""
