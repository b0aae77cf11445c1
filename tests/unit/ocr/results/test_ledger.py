"""The ledger: what is half-written is known, what was read otherwise does not count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dsk.errors import UsageProblem
from dsk.ocr.results import ledger
from dsk.ocr.results.ledger import Ledger, page_key
from dsk.ocr.schema.page_record import PageRecord, Status, Timings
from dsk.ocr.schema.run_files import LEDGER

if TYPE_CHECKING:
    from pathlib import Path

PAGES = range(1, 5)
KEYS = {page: page_key("ab", page, "settings") for page in PAGES}


def record(page: int, text: str = "words", **more: object) -> PageRecord:
    made = {"page": page, "status": Status.OK, "text": text, "key": KEYS[page]} | more
    return PageRecord(**made)  # type: ignore[arg-type]


def filled(folder: Path) -> bytes:
    with Ledger(folder, KEYS) as one:
        for page in PAGES:
            one.append(record(page, f"page {page}\u2028 \n{{}}"))
    return (folder / LEDGER).read_bytes()


def test_what_was_written_is_there_the_next_time(tmp_path: Path) -> None:
    filled(tmp_path)
    with Ledger(tmp_path, KEYS) as again:
        assert sorted(again.entries) == list(PAGES)
        offsets = [again.entries[page].offset for page in reversed(PAGES)]
    assert [one.text for one in ledger.read_at(tmp_path, offsets)] == [
        f"page {page}\u2028 \n{{}}" for page in reversed(PAGES)
    ]


def test_a_page_without_a_record_was_not_asked_for(tmp_path: Path) -> None:
    filled(tmp_path)
    with Ledger(tmp_path, KEYS) as one:
        offsets = [ledger.NONE, one.entries[2].offset, ledger.NONE]
    found = [(one.page, one.status) for one in ledger.read_at(tmp_path, offsets)]
    assert found == [(1, Status.SKIPPED), (2, Status.OK), (3, Status.SKIPPED)]


def test_each_line_is_json_of_its_own(tmp_path: Path) -> None:
    lines = filled(tmp_path).decode().rstrip("\n").split("\n")
    assert [json.loads(line)["page"] for line in lines] == list(PAGES)
    assert all(len(json.loads(line)["crc32"]) == 8 for line in lines)


def test_wherever_it_is_cut_off_the_whole_lines_before_count_and_it_goes_on(
    tmp_path: Path,
) -> None:
    whole = filled(tmp_path)
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in [*range(0, last, 97), *range(last - 3, len(whole), 11), len(whole) - 1]:
        (tmp_path / LEDGER).write_bytes(whole[:cut])
        with Ledger(tmp_path, KEYS) as torn:
            assert len(torn.entries) == whole[:cut].count(b"\n")
            for page in PAGES:
                if page not in torn.entries:
                    torn.append(record(page))
        with Ledger(tmp_path, KEYS) as mended:
            assert sorted(mended.entries) == list(PAGES)


def test_a_line_with_one_changed_bit_does_not_count(tmp_path: Path) -> None:
    whole = bytearray(filled(tmp_path))
    end = whole.index(b"\n")
    for place in range(0, end, 7):
        changed = whole.copy()
        changed[place] ^= 1
        (tmp_path / LEDGER).write_bytes(changed)
        with Ledger(tmp_path, KEYS) as found:
            assert 1 not in found.entries
            assert set(PAGES) - {1} >= set(found.entries) >= {3, 4}


def test_a_line_without_an_end_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_MAX_LINE", 1000)
    (tmp_path / LEDGER).write_bytes(b"x" * 123_456 + b"\n")
    longest = 0

    def decode(line: bytes) -> PageRecord | None:
        nonlocal longest
        longest = max(longest, len(line))
        return actual(line)

    actual = ledger.decode
    monkeypatch.setattr(ledger, "decode", decode)
    with Ledger(tmp_path, KEYS) as one:
        one.append(record(1))
    with Ledger(tmp_path, KEYS) as again:
        offsets = [again.entries[1].offset]
    assert offsets == [123_457]
    assert list(ledger.read_at(tmp_path, offsets)) == [record(1)]
    assert list(ledger.read(tmp_path)) == [record(1)]
    assert longest == 1000


def test_a_ledger_of_terabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / LEDGER).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageProblem, match="too large"), Ledger(tmp_path, KEYS):
        pass
    with pytest.raises(OSError, match="too large"):
        list(ledger.read(tmp_path))
    with Ledger(tmp_path, KEYS, overwrite=True) as one:
        one.append(record(1))
    assert [one.page for one in ledger.read(tmp_path)] == [1]


def test_other_settings_or_another_input_begin_anew(tmp_path: Path) -> None:
    filled(tmp_path)
    other = KEYS | {2: page_key("ab", 2, "other settings"), 3: page_key("cd", 3, "settings")}
    with Ledger(tmp_path, other) as found:
        assert sorted(found.entries) == [1, 4]


def test_the_last_line_of_a_page_counts(tmp_path: Path) -> None:
    filled(tmp_path)
    with Ledger(tmp_path, KEYS) as one:
        one.append(record(2, "", status=Status.LOOPED))
    with Ledger(tmp_path, KEYS) as again:
        assert again.entries[2].status is Status.LOOPED
        assert [one.page for one in ledger.read(tmp_path)] == [1, 2, 3, 4, 2]


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path, KEYS), pytest.raises(UsageProblem, match="another run writes to"):
        Ledger(tmp_path, KEYS)
    Ledger(tmp_path, KEYS).__exit__()


def test_a_folder_that_is_gone_takes_nothing_more(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    with Ledger(folder, KEYS) as one:
        one.append(record(1))
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(UsageProblem, match=r"cannot be written \(No such file"):
            one.append(record(2))
        folder.mkdir()
        (folder / LEDGER).touch()
        with pytest.raises(UsageProblem, match="cannot be written"):
            one.append(record(2))


def test_time_is_nothing_that_outputs_follow_from(tmp_path: Path) -> None:
    def fingerprint(seconds: float, text: str) -> str:
        with Ledger(tmp_path, KEYS, overwrite=True) as one:
            one.append(record(1, text, timings=Timings(read=seconds)))
            return one.fingerprint([1])

    assert fingerprint(1, "a") == fingerprint(2, "a") != fingerprint(1, "b")


@pytest.mark.parametrize(("anew", "said"), [(True, " without --overwrite"), (False, "")])
def test_how_to_go_on_is_said_so_that_nothing_is_read_again(
    tmp_path: Path, anew: bool, said: str
) -> None:
    with Ledger(tmp_path, KEYS, overwrite=anew) as one:
        (tmp_path / LEDGER).unlink()
        with pytest.raises(UsageProblem, match=f"run the same command again{said} to continue$"):
            one.append(record(1))
