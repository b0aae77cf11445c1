"""Diagnosis of a machine: pure checks of the facts that `dsk.host` gathers, and their report."""
