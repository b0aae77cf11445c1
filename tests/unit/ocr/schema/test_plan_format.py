"""The fingerprint of what a launcher and the runner in an image exchange."""

from __future__ import annotations

import enum
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

from dsk.ocr.schema import events, page_record
from dsk.ocr.schema.plan_format import plan_format

if TYPE_CHECKING:
    import pytest


def test_it_is_the_same_in_every_process() -> None:
    program = "from dsk.ocr.schema.plan_format import plan_format; print(plan_format())"
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert re.fullmatch("[0-9a-f]{12}", told)
    assert told == plan_format()


def test_another_release_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_format()
    monkeypatch.setattr("dsk.ocr.schema.plan_format.__version__", "99.0")
    assert plan_format() != before


def test_another_field_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_format()
    monkeypatch.setitem(events.PageDone.__annotations__, "colour", "str")
    assert plan_format() != before


def test_another_value_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_format()
    monkeypatch.setattr(page_record, "How", Literal["well"])
    other = plan_format()
    assert other != before
    monkeypatch.setattr(page_record, "Status", enum.StrEnum("Status", {"FINE": "fine"}))
    assert plan_format() not in {before, other}
