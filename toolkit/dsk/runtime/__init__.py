"""Runtimes for a stack: its hash-locked environment, this interpreter, or its image."""
