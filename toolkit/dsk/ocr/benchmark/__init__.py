"""Measure how fast documents are read."""
