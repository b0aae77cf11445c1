"""Prove a stack on this machine by reading an eye chart."""
