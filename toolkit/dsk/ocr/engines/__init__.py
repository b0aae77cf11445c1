"""Engines: what reads a page, in this process or over HTTP."""
