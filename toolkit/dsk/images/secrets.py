"""Secrets of a build, which no layer keeps: settings of the package index, and certificates."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk.package_index import uv_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Path of the certificates within a build step.
CA: Final = "/run/secrets/ca"

_PASSED: Final = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
    "UV_PYTHON_INSTALL_MIRROR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    # curl and apt read http_proxy in lower case only.
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
# Credentials of an index that ``UV_INDEX`` gives a name.
_CREDENTIAL: Final = re.compile(r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)")
_INDEX: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")


def settings(environment: Mapping[str, str], *, ca: bool) -> str:
    """Return the settings as shell assignments, for uv and for the pip that installs it.

    Args:
        environment: from `dsk.package_index.uv_environment`.
        ca: True if certificates are passed too.
    """
    credentials = sorted(name for name in environment if _CREDENTIAL.fullmatch(name))
    names = (*_PASSED, *credentials)
    values = {name: environment[name] for name in names if environment.get(name)}
    index = next((values[name] for name in _INDEX if name in values), None)
    if index:
        values["PIP_INDEX_URL"] = index
    if ca:
        values |= {"SSL_CERT_FILE": CA, "PIP_CERT": CA}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


@contextlib.contextmanager
def options() -> Iterator[list[str]]:
    """Yield the options that pass the secrets to `docker buildx build`, from a temporary file."""
    environment = uv_environment()
    ca = environment.get("SSL_CERT_FILE", "")
    has_ca = bool(ca) and Path(ca).is_file()
    with tempfile.NamedTemporaryFile("w", prefix="dsk-index-", encoding="utf-8") as file:
        # An index URL may contain a password.
        os.fchmod(file.fileno(), 0o600)
        file.write(settings(environment, ca=has_ca))
        file.flush()
        yield [f"--secret=id=index,src={file.name}"] + has_ca * [f"--secret=id=ca,src={ca}"]
