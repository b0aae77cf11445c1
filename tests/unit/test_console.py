"""A terminal gets our colours and cursor, and no control character of anybody else's."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from dsk import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

ATTACK = "a\x1b]52;c;cm0K\x07\x1b[2J\x9b31m\u202etxt.exe\r[link=http://x]y[/link] :smile:[/]"


def of_column(screen: Console, text: str) -> None:
    column = TextColumn("{task.description}", markup=False)
    with Progress(column, console=screen, transient=True) as bar:
        bar.add_task(text)


def of_table(screen: Console, text: str) -> None:
    table = Table(text)
    table.add_row(text)
    screen.print(table)


PRINTED: dict[str, Callable[[Console, str], None]] = {
    "text": lambda screen, text: screen.print(text),
    "marked up": lambda screen, text: screen.print(Text(text, style="red")),
    "table": of_table,
    "bar": of_column,
}


@pytest.mark.parametrize("way", PRINTED)
def test_a_text_is_printed_without_its_control_characters(way: str) -> None:
    screen = console._console(force_terminal=True, width=400)
    shown = io.StringIO()
    screen.file = shown
    PRINTED[way](screen, ATTACK)
    text = shown.getvalue()
    for piece in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e", "\x1b]8;"):
        assert piece not in text
    assert r"\x1b]52;c;cm0K" in text
    assert "[link=http://x]" in text  # markup is not carried out


@pytest.mark.parametrize("say", [console.warn, console.fail, console.echo])
def test_each_way_to_print(say: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    say(ATTACK)
    out, err = capsys.readouterr()
    assert r"\x1b]52" in out + err
    assert not set("\x1b\x07\x9b\u202e\r") & set(out + err)


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.echo_json('{"a": "\x9b\u202e"}')
    assert capsys.readouterr().out == '{"a": "\\u009b\\u202e"}\n'


def test_an_error_that_nobody_caught(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(ATTACK)
    except ValueError:
        kind, error, traceback = sys.exc_info()
    assert kind
    assert error
    console.print_traceback(kind, error, traceback)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert not set("\x1b\x07\x9b\u202e\r") & set(shown)
