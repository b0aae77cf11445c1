"""Runs over a Ray cluster: one process reads on each card, the driver keeps the ledgers."""
