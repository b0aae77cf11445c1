"""A new snapshot, from a database on loopback that speaks as OSV's does."""

import datetime as dt
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dsk.advisories import osv
from dsk.advisories.refresh import fetch
from dsk.errors import EngineMissing, UsageProblem

TODAY = dt.date(2026, 12, 1)
VECTOR = "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H"
VECTOR_4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"


def record(name: str, package: str = "part", **fields: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": package, "purl": f"pkg:pypi/{package}"},
        "ranges": [
            {"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]},
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]},
        ],
        "versions": ["0.1", "0.2", "1.0"],
    }
    whole = {
        "id": name,
        "modified": "2026-01-01T00:00:00Z",
        "details": "long",
        "schema_version": "1",
    }
    return whole | {"affected": [affected]} | fields


class Database:
    """Records by id, and which package each is listed under, page by page."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, list[list[str]]] = {}
        self.status = 200
        self.answer: bytes | None = None
        self.url = ""

    def batch(self, queries: list[dict[str, Any]]) -> dict[str, Any]:
        results = []
        for query in queries:
            assert "version" not in query
            assert query["package"]["ecosystem"] == "PyPI"
            pages = self.pages.get(query["package"]["name"], [[]])
            at = int(query.get("page_token", 0))
            result: dict[str, Any] = {"vulns": [{"id": one, "modified": "x"} for one in pages[at]]}
            if not pages[at]:
                result = {}
            if at + 1 < len(pages):
                result["next_page_token"] = str(at + 1)
            results.append(result)
        return {"results": results}


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    there = Database()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(there.records[self.path.removeprefix("/v1/vulns/")])

        def do_POST(self) -> None:
            assert self.path == "/v1/querybatch"
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(there.batch(asked["queries"]))

        def _answer(self, value: object) -> None:
            body = there.answer if there.answer is not None else json.dumps(value).encode()
            self.send_response(there.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield there
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_advisories_of_all_packages_come_with_their_scores(database: Database) -> None:
    severity = [{"type": "CVSS_V3", "score": VECTOR}, {"type": "CVSS_V4", "score": VECTOR_4}]
    database.records = {
        "GHSA-1": record("GHSA-1", aliases=["CVE-1"], summary="One.", severity=severity),
        "GHSA-2": record("GHSA-2", database_specific={"severity": "LOW", "cwe_ids": []}),
        "GHSA-3": record("GHSA-3", "Engine", severity=[{"type": "X", "score": "much"}]),
    }
    database.pages = {"part": [["GHSA-1"], ["GHSA-2"]], "engine": [["GHSA-3", "GHSA-1"]]}
    taken = fetch(["part", "engine", "part", "other"], url=database.url, today=TODAY)
    assert (taken.date, taken.complete) == (TODAY, True)
    assert taken.packages == ("engine", "other", "part")
    assert [one.id for one in taken.advisories] == ["GHSA-1", "GHSA-2", "GHSA-3"]
    assert [one.score for one in taken.advisories] == [8.7, None, None]
    assert [one.rating for one in taken.advisories] == ["high", "low", "unknown"]
    found = osv.vulnerabilities(taken, [("part", "1.0"), ("engine", "1.5"), ("other", "1")])
    assert [(one.package, one.id) for one in found] == [
        ("engine", "GHSA-3"),
        ("part", "CVE-1"),
        ("part", "GHSA-2"),
    ]


def test_what_the_audit_does_not_need_is_left_out(database: Database) -> None:
    npm = {"package": {"ecosystem": "npm", "name": "part"}, "versions": ["1"]}
    listed = {"package": {"ecosystem": "PyPI", "name": "part"}, "versions": ["1.0"]}
    other = {"package": {"ecosystem": "PyPI", "name": "not-ours"}, "versions": ["1.0"]}
    whole = record("GHSA-1")
    whole["affected"] += [npm, listed, other]
    database.records, database.pages = {"GHSA-1": whole}, {"part": [["GHSA-1"]]}
    text = osv.dump(fetch(["part"], url=database.url, today=TODAY))
    assert all(word not in text for word in ("GIT", "npm", "long", "purl", "not-ours", "0.2"))
    assert '"versions": ["1.0"]' in text


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"results": []}', b'{"results": [1]}', b"\xff"])
def test_an_answer_of_another_format_leaves_the_old_snapshot(
    database: Database, answer: bytes
) -> None:
    database.answer = answer
    with pytest.raises(EngineMissing, match=r"no usable answer.*the old snapshot was kept"):
        fetch(["part"], url=database.url, today=TODAY)


def test_an_error_of_the_database_is_one_line(database: Database) -> None:
    database.status = 503
    with pytest.raises(EngineMissing, match="503") as told:
        fetch(["part"], url=database.url, today=TODAY)
    assert "\n" not in str(told.value)


def test_without_the_library_that_scores_the_advice_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cvss", None)
    with pytest.raises(UsageProblem, match=r"cvss is not installed.*\.ci/setup"):
        fetch(["part"], today=TODAY)
