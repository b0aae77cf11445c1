"""A new snapshot of the advisories, from the OSV database's public interface."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from dsk.advisories.osv import ECOSYSTEM, AdvisorySnapshot, Source
from dsk.errors import EngineMissing, UsageProblem
from dsk.package_index import client, failure_reason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    import httpx

URL: Final = "https://api.osv.dev"
# The interface takes at most 1000 queries at once.
_BATCH: Final = 500
_AT_ONCE: Final = 8
_KEPT: Final = ("id", "aliases", "published", "summary", "severity", "withdrawn")


def fetch(packages: Iterable[str], *, url: str = URL, today: dt.date) -> AdvisorySnapshot:
    """Fetch every advisory about packages, whatever their versions.

    A lock that is resolved anew is judged by the same snapshot, so long as it has no new package.

    Args:
        packages: the names under which the database knows them.
        url: of the interface.
        today: the snapshot's date, in UTC.

    Raises:
        EngineMissing: the database cannot be reached, or its answers are not of its format.
        UsageProblem: the library that computes scores from CVSS vectors is not installed.
    """
    import httpx

    try:
        import cvss  # noqa: F401 -- a tool of the developers: no stack's lock holds it
    except ImportError as error:
        what = "the package cvss is not installed"
        raise UsageProblem(what, do=".ci/setup installs it") from error
    names = sorted(set(packages))
    try:
        with client() as http, ThreadPoolExecutor(_AT_ONCE) as pool:
            ids = sorted({one for batch in _batches(names) for one in _ids(http, url, batch)})
            records = pool.map(lambda one: _get(http, f"{url}/v1/vulns/{one}"), ids)
            advisories = [_trimmed(record, set(names)) for record in records]
    except (httpx.HTTPError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"the advisory database at {url} gave no usable answer: {failure_reason(error)}"
        raise EngineMissing(what, do="check the network; the old snapshot was kept") from error
    return AdvisorySnapshot.model_validate(
        {
            "date": today,
            "complete": True,
            "sources": (Source(name=url, date=today),),
            "packages": names,
            "advisories": advisories,
        }
    )


def _batches(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), _BATCH):
        yield names[at : at + _BATCH]


def _ids(http: httpx.Client, url: str, names: list[str]) -> Iterator[str]:
    """Yield the ids of the advisories about packages, page by page."""
    pending: list[dict[str, Any]] = [
        {"package": {"ecosystem": ECOSYSTEM, "name": name}} for name in names
    ]
    while pending:
        answer = http.post(f"{url}/v1/querybatch", json={"queries": pending}).raise_for_status()
        results = answer.json()["results"]
        if len(results) != len(pending):
            msg = f"{len(results)} answers to {len(pending)} queries"
            raise ValueError(msg)
        following = []
        for query, result in zip(pending, results, strict=True):
            yield from (each["id"] for each in result.get("vulns", ()))
            if token := result.get("next_page_token"):
                following.append({**query, "page_token": token})
        pending = following


def _get(http: httpx.Client, url: str) -> dict[str, Any]:
    answer: dict[str, Any] = http.get(url).raise_for_status().json()
    return answer


def _trimmed(record: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return what the audit needs of a record, with the score of its worst CVSS vector."""
    kept = {key: record[key] for key in _KEPT if key in record}
    affected = [
        {
            "package": {"ecosystem": ECOSYSTEM, "name": each["package"]["name"]},
            "ranges": [one for one in each.get("ranges", ()) if one["type"] == "ECOSYSTEM"],
            # An enumeration repeats the ranges, at hundreds of versions a record.
            "versions": [] if _has_ranges(each) else each.get("versions", []),
        }
        for each in record.get("affected", ())
        if each.get("package", {}).get("ecosystem") == ECOSYSTEM
        and canonicalize_name(each["package"]["name"]) in names
    ]
    scores = [_score(each["score"]) for each in record.get("severity", ())]
    known = [score for score in scores if score is not None]
    word = record.get("database_specific", {}).get("severity")
    rating: dict[str, Any] = {"severity": word} if word else {}
    if known:
        rating["cvss_score"] = max(known)
    return kept | {"affected": affected, "database_specific": rating}


def _has_ranges(affected: dict[str, Any]) -> bool:
    return any(each["type"] == "ECOSYSTEM" for each in affected.get("ranges", ()))


def _score(vector: str) -> float | None:
    """Return the base score of a CVSS vector of version 3 or 4; None for another text."""
    from cvss import CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    try:
        if vector.startswith("CVSS:4"):
            return float(CVSS4(vector).base_score)
        return float(CVSS3(vector).base_score) if vector.startswith("CVSS:3") else None
    except CVSSError:
        return None
