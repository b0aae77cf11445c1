"""pip's configuration, told to uv in uv's own words."""

from pathlib import Path

import pytest

from dsk.package_index import uv_environment


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nobody has configured pip or uv; returns its pip configuration file."""
    import os

    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    file = tmp_path / "pip.conf"
    monkeypatch.setattr("dsk.package_index._pip_files", lambda: [file])
    return file


def uv_settings() -> dict[str, str]:
    return {name: value for name, value in uv_environment().items() if name.startswith("UV_")}


def test_without_configuration_uv_is_told_nothing() -> None:
    assert uv_settings() == {}


def test_pip_s_index_becomes_uv_s(bare_machine: Path) -> None:
    bare_machine.write_text("[global]\nindex-url = https://mirror.example/simple\n")
    assert uv_settings() == {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}


def test_a_variable_is_stronger_than_a_file(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_machine.write_text("[global]\nindex-url = https://file.example/simple\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example/simple")
    assert uv_settings() == {"UV_DEFAULT_INDEX": "https://variable.example/simple"}


def test_an_underscore_in_a_pip_file_is_a_hyphen(bare_machine: Path) -> None:
    bare_machine.write_text("[install]\nindex_url = https://mirror.example/simple\n")
    assert uv_settings() == {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_uv_is_told_itself_stands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    monkeypatch.setenv(name, "https://uv.example/simple")
    assert uv_settings() == {name: "https://uv.example/simple"}


def test_further_indexes_are_asked_as_pip_asks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example/simple\nhttps://b.example/simple")
    assert uv_settings() == {
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_an_index_on_the_local_disk_does_not_hide_the_real_one(bare_machine: Path) -> None:
    bare_machine.write_text(
        "[global]\nextra-index-url = file:///opt/simple /opt/more\nfind-links = /opt/wheels\n"
    )
    assert uv_settings() == {}


def test_certificate_and_proxy_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/etc/ca.pem")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    environment = uv_environment()
    assert environment["SSL_CERT_FILE"] == "/etc/ca.pem"
    assert environment["HTTPS_PROXY"] == environment["HTTP_PROXY"] == "http://proxy.example:3128"


def test_a_proxy_of_one_s_own_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://own.example:1")
    assert "HTTPS_PROXY" not in uv_environment()


def test_a_broken_pip_file_is_pip_s_to_report(bare_machine: Path) -> None:
    bare_machine.write_text("index-url = before any section\n")
    assert uv_settings() == {}
