"""Refusals: the errors that the gate answers with, and the JSON that carries them."""

from __future__ import annotations

import json
from typing import Final

_TYPES: Final = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    503: "ServiceUnavailableError",
}


class Refusal(Exception):
    """A request that is not served.

    Args:
        status: of the HTTP answer.
        message: for the client: a constant text, at most with the name of a field.
        headers: further headers of the answer, such as ``Allow``.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


def error_document(status: int, message: str) -> dict[str, object]:
    """Return an error as the OpenAI API words it."""
    kind = _TYPES.get(status, "InternalServerError" if status >= 500 else "BadRequestError")
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def error_body(status: int, message: str) -> bytes:
    """Return the body of an error answer."""
    return json.dumps(error_document(status, message)).encode()
