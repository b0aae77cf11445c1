"""What a build may know and an image must not: where packages come from, and the certificates."""

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

CA: Final = "/run/secrets/ca"
"""Where a Dockerfile's steps find the certificates."""

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
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_CREDENTIAL: Final = re.compile(r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)")
"""Of an index that ``UV_INDEX`` gives a name."""
_PIP_S: Final = (("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),)


def settings(environment: Mapping[str, str], *, ca: bool) -> str:
    """The settings as a shell reads them, for uv and for the pip that installs it.

    Args:
        environment: as `dsk.package_index.uv_environment` gives it.
        ca: whether the certificates are handed over too.
    """
    credentials = sorted(name for name in environment if _CREDENTIAL.fullmatch(name))
    told = {name: environment[name] for name in (*_PASSED, *credentials) if environment.get(name)}
    for name, sources in _PIP_S:
        found = [told[source] for source in sources if source in told]
        told |= {name: found[0]} if found else {}
    if ca:
        told |= {"SSL_CERT_FILE": CA, "PIP_CERT": CA}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in told.items())


@contextlib.contextmanager
def given() -> Iterator[list[str]]:
    """The options that hand them to `docker buildx build`; the file is gone with the block."""
    environment = uv_environment()
    ca = environment.get("SSL_CERT_FILE", "")
    has_ca = bool(ca) and Path(ca).is_file()
    with tempfile.NamedTemporaryFile("w", prefix="dsk-index-", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(settings(environment, ca=has_ca))
        file.flush()
        yield [f"--secret=id=index,src={file.name}"] + has_ca * [f"--secret=id=ca,src={ca}"]
