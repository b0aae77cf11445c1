"""`dsk model fetch` from hostile hubs: no byte but the pinned ones ends where models are loaded."""

from __future__ import annotations

import gzip
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.fake_hub import CODE, HUB, LARGE, MODEL, OTHER, REVISION, WEIGHTS, Hub, serving

from dsk.errors import DskError, MatrixInvalid, UsageProblem, VerificationFailed
from dsk.hub import store
from dsk.hub.fetch import fetch
from dsk.models.reference import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake_hub import Handler

FORGED = b"import os; os.system('id')\n"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path) as hub:
        yield hub


def fetched(revision: str = REVISION) -> store.RevisionRecord:
    pins = MODEL.files if revision == REVISION else None
    return fetch(HUB, revision, pins=pins, report=lambda _: None)


def refused(*words: str) -> None:
    """Check that a fetch is refused in one line, and leaves nothing that a model is loaded from."""
    with pytest.raises(VerificationFailed) as found:
        fetched()
    message = str(found.value)
    assert all(word in message for word in words), message
    assert message.isprintable()
    assert len(message) < 600
    assert store.recorded(HUB, REVISION) is None


def test_forged_code_under_the_pinned_commit_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files[CODE] = FORGED
    refused(CODE, "another size or hash than models.toml pins")
    assert FORGED not in contents(tmp_path)


def test_forged_code_of_the_right_size_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files[CODE] = b"exit(1)\n"
    assert len(hub.files[CODE]) == MODEL.files[CODE].size
    refused(CODE, "instead of the pinned")
    assert hub.files[CODE] not in contents(tmp_path)


def test_forged_weights_under_the_pinned_commit_are_refused_before_they_are_sent(hub: Hub) -> None:
    hub.files[WEIGHTS] = LARGE[::-1]
    refused(WEIGHTS, "another size or hash than models.toml pins")
    assert hub.ranges(WEIGHTS) == []


def test_another_commit_than_the_pinned_one_is_refused(hub: Hub) -> None:
    hub.revisions[REVISION] = OTHER
    refused(f"answers with the commit '{OTHER}' for {REVISION}")
    assert hub.asked == []


@pytest.mark.parametrize(
    "commit", ["", "main", "../../x", 5, None, "9" * 39, "\x1b[2J", "\ud800", ["a"], "9" * 10_000]
)
def test_what_is_no_commit_is_refused(hub: Hub, commit: Any) -> None:
    hub.listed = lambda listing: listing | {"sha": commit}
    refused("the hub")


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../x.py", "a/../../x.py", "a//b", "./x", "a/.", "", "a\\..\\b"),
        *("a\x1b[2J", "a\nb", "a\u202eyp.x", "a\x00b", "x" * 501, "a\ud800"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(hub: Hub, name: str) -> None:
    hub.listed = lambda listing: (
        listing
        | {"siblings": [*listing["siblings"], {"rfilename": name, "size": 1, "blobId": "a" * 40}]}
    )
    refused("unsafe name")
    assert hub.asked == []


def test_a_file_that_the_matrix_does_not_name_is_not_fetched(hub: Hub) -> None:
    hub.files["evil.py"] = FORGED
    record = fetched()
    assert "evil.py" not in {file.path for file in record.files}
    assert hub.ranges("evil.py") == []


def test_a_file_that_the_matrix_names_has_to_be_listed(hub: Hub) -> None:
    del hub.files[CODE]
    refused(f"does not list {CODE}")


def test_a_file_that_is_listed_twice_is_refused(hub: Hub) -> None:
    hub.listed = lambda listing: listing | {"siblings": listing["siblings"] * 2}
    refused("twice")


@pytest.mark.parametrize("size", [-1, "many", 10**400, None, 1.5])
def test_an_odd_size_is_refused(hub: Hub, size: Any) -> None:
    hub.listed = lambda listing: (
        listing | {"siblings": [one | {"size": size} for one in listing["siblings"]]}
    )
    with pytest.raises(DskError):
        fetched()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"<html>", b"[" * 1_000_000, b'{"sha": "\xff"}', b"{}"]
)
def test_a_listing_that_is_none_is_refused(hub: Hub, content: bytes) -> None:
    hub.replies["/api/"] = lambda handler: handler.answer(content, "application/json")
    refused("no list of the files")


def test_an_endless_listing_is_cut_off(hub: Hub) -> None:
    hub.replies["/api/"] = endless
    refused("does not end")


def test_a_compressed_listing_is_refused_unread(hub: Hub) -> None:
    def bomb(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(gzip.compress(bytes(10_000_000)))
        handler.close_connection = True

    hub.replies["/api/"] = bomb
    refused("compresses its answers")


def test_a_file_that_does_not_end_is_cut_off_at_its_listed_size(hub: Hub, tmp_path: Path) -> None:
    hub.replies[f"resolve/{REVISION}/{CODE}"] = endless
    refused("came with more than")
    assert sum(len(content) for content in contents(tmp_path)) < 3 * len(LARGE)


def test_the_hub_s_headers_do_not_choose_what_is_linked(hub: Hub) -> None:
    """A mirror's ETag must not decide which bytes the snapshot holds."""
    fetched()
    assert {method for method, _, _ in hub.asked} == {"GET"}
    folder = store.snapshot(HUB, REVISION)
    assert (folder / CODE).resolve().name == hub.digest(CODE)


def test_what_was_taken_on_trust_has_to_come_again(hub: Hub, tmp_path: Path) -> None:
    fetched()
    hub.files["config.json"] = b'{"architectures": ["Other"]}'
    with pytest.raises(VerificationFailed, match=r"config\.json .* differently than when it was"):
        fetched()
    assert hub.files["config.json"] not in contents(tmp_path)


def test_a_redirect_to_another_host_gets_no_token(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    fetched()
    assert all(headers["Authorization"] == "Bearer hf_s3cret" for headers in hub.headers)
    hub.headers.clear()
    port = os.environ["HF_ENDPOINT"].rpartition(":")[2]

    def away(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"http://localhost:{port}/x")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    hub.replies["/api/"] = away
    with pytest.raises(VerificationFailed, match="redirects to http://localhost, without encrypt"):
        fetched()
    assert len(hub.headers) == 1


def test_a_token_is_not_sent_without_encryption(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    monkeypatch.setenv("HF_ENDPOINT", "http://alice:hunter2@mirror.example")
    with pytest.raises(UsageProblem, match="without encryption") as found:
        fetched()
    assert "hunter2" not in str(found.value)


@pytest.mark.parametrize("endpoint", ["mirror.example", "ftp://mirror.example", "http://a\nb"])
def test_an_endpoint_that_is_no_address_is_refused(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageProblem, match="is no address"):
        fetched()


def test_a_link_in_the_cache_leads_nothing_elsewhere(hub: Hub, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = store.snapshot(HUB, REVISION)
    folder.mkdir(parents=True)
    (folder / "modeling").symlink_to(elsewhere)
    with pytest.raises(UsageProblem, match="cannot be put into the cache"):
        fetched()
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_partial_file_is_not_written_through(
    hub: Hub, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    blobs = store.storage(HUB) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.digest(WEIGHTS)}.dsk-part").symlink_to(victim)
    (blobs / hub.digest(CODE)).symlink_to(victim)
    assert store.faults(fetched(), hashes=True) == []
    assert victim.read_bytes() == b"precious"


def test_two_fetches_at_once_fetch_each_file_once(hub: Hub) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            fetched()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(hub.ranges(WEIGHTS)) == 1


def test_code_that_another_program_fetched_from_a_hostile_hub_is_not_loaded(
    hub: Hub, tmp_path: Path
) -> None:
    """huggingface_hub believes what a mirror lists; the code is checked whenever it is used."""
    fetched()
    (store.storage(HUB) / ".dsk" / f"{REVISION}.json").unlink()
    blob = (store.snapshot(HUB, REVISION) / CODE).resolve()
    blob.write_bytes(FORGED)
    with pytest.raises(MatrixInvalid, match=rf"{CODE} has not the hash that models\.toml pins"):
        resolve(HUB).locate()


def test_code_that_was_changed_on_the_disk_is_not_loaded(hub: Hub) -> None:
    fetched()
    blob = (store.snapshot(HUB, REVISION) / "config.json").resolve()
    blob.write_bytes(b"[]")
    with pytest.raises(MatrixInvalid, match=r"config\.json has the hash"):
        resolve(HUB).locate()


def contents(place: Path) -> list[bytes]:
    return [file.read_bytes() for file in place.rglob("*") if file.is_file()]


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    block = b'{"a": 1, ' + b" " * (1 << 20)
    try:
        while True:
            handler.wfile.write(block)
    except OSError:
        return
