"""The package index: uv gets the one configured for pip, unless uv has its own."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import platformdirs

from dsk import processes, urls

if TYPE_CHECKING:
    import httpx

_TIMEOUT: Final = 60.0  # seconds without a byte
_UV_INDEX: Final = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def uv_environment() -> dict[str, str]:
    """Return this process's environment with pip's index, certificate and proxy as uv's variables.

    Variables of uv's own take precedence. The result may hold credentials: pass it to a
    subprocess, never print it.
    """
    environment = dict(os.environ)
    pip = _pip_settings()
    index = pip.get("index-url", "")
    # Any index of uv's own is the user's deliberate choice for uv.
    if index and not any(name in environment for name in _UV_INDEX):
        environment["UV_DEFAULT_INDEX"] = index
    # uv takes a package from the first index that has it: a local folder with some of a package's
    # versions would hide the rest.
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
    """Return the path of uv: the one installed with dsk, else the one on PATH.

    Raises:
        EngineMissing: there is neither.
    """
    import uv

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        return processes.find("uv", do="python3 -m pip install uv")


def client() -> httpx.Client:
    """Return an HTTP client that uses the same certificates and proxies as uv."""
    import ssl

    import httpx

    environment = uv_environment()
    trusted = ssl.create_default_context(cafile=environment.get("SSL_CERT_FILE"))
    # httpx reads the environment's own proxies, and NO_PROXY; only those from pip are missing.
    added = {
        f"{scheme}://": httpx.HTTPTransport(proxy=environment[name], verify=trusted)
        for scheme, name in (("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY"))
        if name in environment and name not in os.environ
    }
    return httpx.Client(verify=trusted, mounts=added, timeout=_TIMEOUT, follow_redirects=True)


def failure_reason(error: Exception) -> str:
    """Return why a fetch failed, one line without credentials."""
    lines = urls.masked(str(error)).splitlines()
    return lines[0] if lines else type(error).__name__


def _pip_settings() -> dict[str, str]:
    """Return pip's ``[global]`` and ``[install]`` settings; ``PIP_*`` variables override files."""
    settings: dict[str, str] = {}
    for file in _pip_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself reports a broken file
        for section in ("global", "install"):
            if parser.has_section(section):
                items = parser.items(section)
                settings |= {name.replace("_", "-"): value for name, value in items}
    # pip's own rule: PIP_EXTRA_INDEX_URL is extra-index-url.
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").replace("_", "-").lower()] = value
    return settings


def _pip_files() -> list[Path]:
    """Return pip's configuration files, later ones override; see ``PIP_CONFIG_FILE``."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's own way to switch all files off
        return []
    # The order of pip's documentation: site, user, the environment's own.
    files = [Path(folder) / "pip/pip.conf" for folder in _site_config()] + [Path("/etc/pip.conf")]
    home = Path.home()
    files += [home / ".pip/pip.conf", platformdirs.user_config_path("pip") / "pip.conf"]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files


def _site_config() -> list[str]:
    return os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")[::-1]


def _is_local(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")
