"""Newer releases for stacks: found, resolved, checked from their wheels, promoted and reported."""
