"""The gate of `dsk serve`: an ASGI middleware that decides what reaches vLLM's own server.

vLLM puts the class into its application (``--middleware``), outside of its own middlewares. The
engine sees only what was checked: a request is parsed, validated and written anew, with the few
headers that the server needs.
"""
