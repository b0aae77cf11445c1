"""URLs without what signs in: nothing that is printed or kept has a user's password or token."""

from __future__ import annotations

import re
from typing import Final

# A password may hold any character that its owner forgot to quote, a slash too: then what looks
# like a port is not a number.
_USER: Final = re.compile(
    r"""
    (?P<scheme>[a-z][a-z0-9+.-]{0,30}:[/\\]{2})
    (?: [^/\\?\#\s]{0,2000}@
      | [^/\\?\#\s:@]{0,500}:(?![0-9]{1,5}(?:[/?\#\s]|$))[^\s@]{0,2000}@
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Keys of APIs, and the parameters of signed URLs.
_PARAMETER: Final = re.compile(
    r"""(?P<name>[?&;][\w.-]{0,60}(?:token|key|secret|passw|pwd|sig|auth|cred|policy)[\w.-]{0,60}=)
    [^&;\#\s"'<>`]+
    """,
    re.VERBOSE | re.IGNORECASE,
)


def masked(text: str) -> str:
    """Return a text in which each URL has ``***`` for its user and password, and for its keys."""
    # Nearly all texts have no URL.
    if "//" in text or "\\\\" in text:
        text = _USER.sub(r"\g<scheme>***@", text)
    return _PARAMETER.sub(r"\g<name>***", text) if "=" in text else text


def without_user(url: str) -> str:
    """Return a URL without user, password and keys, to name a server by."""
    return masked(url).replace("***@", "", 1)
