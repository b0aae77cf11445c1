"""The OpenAI-compatible server: command line, start, log, health."""
