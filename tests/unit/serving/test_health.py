"""Where an image's HEALTHCHECK looks."""

import pytest

from dsk.serving.health import address


@pytest.mark.parametrize(
    ("started", "wanted"),
    [
        (("python", "/opt/dsk/bin/dsk", "run", "pdf", "a.pdf", "-o", "out"), None),
        (("python", "dsk", "serve", "/model"), "http://127.0.0.1:8000"),
        (
            ("python", "dsk", "serve", "/model", "--host", "0.0.0.0", "--port", "9000"),
            "http://127.0.0.1:9000",
        ),
        (("dsk", "serve", "/model", "--host", "::1"), "http://[::1]:8000"),
        (("dsk", "serve", "--port=9000", "/model", "--host=::"), "http://[::]:9000"),
        (
            ("dsk", "serve", "/model", "--ngram", "20", "50", "--name", "ocr", "--port", "9001"),
            "http://127.0.0.1:9001",
        ),
        (("dsk", "serve", "/model", "--allow-urls", "--api-key", "k"), "http://127.0.0.1:8000"),
        (("dsk", "serve", "/model", "--port"), None),
    ],
)
def test_a_server_is_asked_where_it_listens_and_a_run_is_not(
    started: tuple[str, ...], wanted: str | None
) -> None:
    assert address(started) == wanted
