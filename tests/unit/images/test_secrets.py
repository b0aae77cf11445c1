"""What a build is told in secret."""

import re
from pathlib import Path

import pytest

from dsk.images import secrets


def test_uv_and_the_pip_that_installs_it_ask_the_same_index() -> None:
    told = secrets.settings({"UV_DEFAULT_INDEX": "https://a:b@index.example/simple"}, ca=False)
    assert "UV_DEFAULT_INDEX=https://a:b@index.example/simple\n" in told
    assert "PIP_INDEX_URL=https://a:b@index.example/simple\n" in told


def test_a_shell_expands_nothing_of_a_setting() -> None:
    assert secrets.settings({"UV_INDEX": "x; $(id)"}, ca=False) == "UV_INDEX='x; $(id)'\n"


def test_a_named_index_s_credentials_and_a_mirror_of_pythons_are_handed_over() -> None:
    given = {
        "UV_INDEX": "inner=https://index.example/simple",
        "UV_INDEX_INNER_USERNAME": "me",
        "UV_INDEX_INNER_PASSWORD": "a b",
        "UV_PYTHON_INSTALL_MIRROR": "https://mirror.example/pythons",
    }
    assert secrets.settings(given, ca=False).splitlines() == [
        "UV_INDEX=inner=https://index.example/simple",
        "UV_PYTHON_INSTALL_MIRROR=https://mirror.example/pythons",
        "UV_INDEX_INNER_PASSWORD='a b'",
        "UV_INDEX_INNER_USERNAME=me",
    ]


def test_nothing_else_of_the_environment_is_handed_over() -> None:
    assert secrets.settings({"AWS_SECRET_ACCESS_KEY": "x", "HOME": "/root"}, ca=False) == ""


def test_certificates_are_a_secret_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    with secrets.options() as options:
        assert options[1] == f"--secret=id=ca,src={ca}"
        file = Path(options[0].rpartition("src=")[2])
        assert "SSL_CERT_FILE=/run/secrets/ca\n" in file.read_text()
        assert re.search(r"00$", oct(file.stat().st_mode))
    assert not file.exists()
