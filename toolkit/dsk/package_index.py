"""Which package index uv asks: the one the user set for pip, where uv has none of its own."""

from __future__ import annotations

import configparser
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import platformdirs

from dsk import processes

if TYPE_CHECKING:
    import httpx

_PATIENCE: Final = 60.0  # seconds without a byte
_UV_INDEX: Final = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def uv_environment() -> dict[str, str]:
    """This process's environment, with pip's index, certificate and proxy in uv's own variables.

    What uv is told by its own variables stands. The result may hold credentials: hand it to a
    subprocess, never print it. Of pip's further indexes and link folders those on the local disk
    are left out: uv takes a package from the first index that has it, so a folder with some of a
    package's versions would hide the rest.
    """
    environment = dict(os.environ)
    pip = _pip_settings()
    index = pip.get("index-url", "")
    if index and not any(name in environment for name in _UV_INDEX):
        environment["UV_DEFAULT_INDEX"] = index
    more = [url for url in pip.get("extra-index-url", "").split() if not _is_local(url)]
    if more and "UV_INDEX" not in environment and "UV_EXTRA_INDEX_URL" not in environment:
        environment["UV_INDEX"] = " ".join(more)
        # pip takes the best version of all indexes; uv, unless told, only asks the first one.
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if "cert" in pip:
        environment.setdefault("SSL_CERT_FILE", pip["cert"])
    if "proxy" in pip:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            if name.lower() not in environment:
                environment.setdefault(name, pip["proxy"])
    return environment


def uv_program() -> str:
    """The path of uv: the one that came with dsk, else the one on PATH.

    Raises:
        EngineMissing: there is neither.
    """
    import uv

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        return processes.find("uv", do="python3 -m pip install uv")


def without_credentials(text: str) -> str:
    """A text, such as a tool's output, with the passwords of its addresses struck out."""
    return re.sub(r"(\w+://)[^/\s@]+@", r"\1***@", text)


def client() -> httpx.Client:
    """What fetches the index's files, with the certificates and the proxies that uv is told of."""
    import ssl

    import httpx

    environment = uv_environment()
    trusted = ssl.create_default_context(cafile=environment.get("SSL_CERT_FILE"))
    # What stands in our own environment httpx finds, and NO_PROXY with it; this is pip's alone.
    added = {
        f"{scheme}://": httpx.HTTPTransport(proxy=environment[name], verify=trusted)
        for scheme, name in (("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY"))
        if name in environment and name not in os.environ
    }
    return httpx.Client(verify=trusted, mounts=added, timeout=_PATIENCE, follow_redirects=True)


def reason_of(error: Exception) -> str:
    """Why a fetch failed, in a line without credentials."""
    said = without_credentials(str(error)).splitlines()
    return said[0] if said else type(error).__name__


def _pip_settings() -> dict[str, str]:
    """pip's ``[global]`` and ``[install]`` settings, files first, ``PIP_*`` variables over them."""
    settings: dict[str, str] = {}
    for file in _pip_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will tell its user about a broken file
        for section in ("global", "install"):
            if parser.has_section(section):
                items = parser.items(section)
                settings |= {name.replace("_", "-"): value for name, value in items}
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").replace("_", "-").lower()] = value
    return settings


def _pip_files() -> list[Path]:
    """Where pip looks, the strongest last; ``PIP_CONFIG_FILE`` names one more, or none at all."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    files = [Path(folder) / "pip/pip.conf" for folder in _site_config()] + [Path("/etc/pip.conf")]
    home = Path.home()
    files += [home / ".pip/pip.conf", platformdirs.user_config_path("pip") / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files


def _site_config() -> list[str]:
    return os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")[::-1]


def _is_local(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")
