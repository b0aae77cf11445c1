"""`index.html`: the documents of a run with the states of their pages, and links to their reports.

One file that works without a network. Its content security policy allows its own style and script,
identified by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dsk.filenames import printable
from dsk.files import write_atomically
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import PageDone
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from dsk.ocr.schema.events import Event, Listener
    from dsk.ocr.schema.run_plan import Document, RunPlan

# Pages that have not ended: no state of theirs, since the next run gives them one.
_LEFT = "left"


class IndexPage:
    """Counts the pages of each document of a run as they end, and writes the page.

    Args:
        plan: the plan of the run.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._states: dict[str, Counter[str]] = {}

    def count_for(self, listener: Listener) -> Listener:
        """Return a listener that counts pages, then calls ``listener``."""

        def count(event: Event) -> None:
            if isinstance(event, PageDone):
                self._states.setdefault(event.folder, Counter())[event.status] += 1
            listener(event)

        return count

    def write(self, out: Path) -> None:
        """Write the page into the output folder, if the run has several documents."""
        if len(self._plan.documents) > 1:
            write_atomically(out / run_files.INDEX, self.html(out))

    def html(self, out: Path) -> str:
        """Return the page.

        Args:
            out: the output folder, which links lead from.
        """
        documents = self._plan.documents
        counts = [self._counts(document, out) for document in documents]
        rows = "".join(
            _row(document, states, out) for document, states in zip(documents, counts, strict=True)
        )
        style, script = _asset("index_page.css"), _asset("index_page.js")
        policy = (
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        )
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{len(documents)} documents</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{len(documents)} documents</h1>
<label>find <input id="find" type="search" placeholder="part of a name"></label>
<nav aria-label="documents with pages of a state">{_buttons(counts)}</nav>
</header>
<main>
<table>
<thead><tr><th>document</th><th class="number">pages</th><th>states</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
<p id="none" hidden>No document matches.</p>
{self._rejected()}</main>
<script>{script}</script>
</body>
</html>
"""

    def _counts(self, document: Document, out: Path) -> Counter[str]:
        folder = printable(document.folder.relative_to(out))
        states = Counter(self._states.get(folder, Counter()))
        left = len(document.pages) - states.total()
        return states + Counter({_LEFT: left})

    def _rejected(self) -> str:
        if not self._plan.rejected:
            return ""
        items = "".join(
            f"<li><b>{escape(printable(each.path))}</b> {escape(printable(each.reason))}</li>"
            for each in self._plan.rejected
        )
        return f"<h2>Not read</h2>\n<ul>{items}</ul>\n"


def _row(document: Document, states: Counter[str], out: Path) -> str:
    name = printable(document.folder.relative_to(out))
    badges = " ".join(
        f'<span class="{_kind(state)}">{states[state]} {state}</span>' for state in _ordered(states)
    )
    linked = f'<a href="{_link(document, out)}">{escape(name)}</a>'
    return (
        f'<tr data-states="{" ".join(_ordered(states))}"><td>{linked}</td>'
        f'<td class="number">{states.total()}</td><td>{badges}</td></tr>\n'
    )


def _link(document: Document, out: Path) -> str:
    """Return a relative link to what a person opens of a document: its report, text or folder."""
    files = document.folder / "report.html", document.folder / f"{document.stem}.md"
    target = next((file for file in files if file.is_file()), document.folder)
    # Percent signs for everything that HTML or a URL acts on; "./", so that no name is a scheme.
    return "./" + quote(os.fsencode(target.relative_to(out)))


def _buttons(counts: list[Counter[str]]) -> str:
    with_state = Counter(state for states in counts for state in states)
    buttons = (
        f'<button type="button" data-state="" aria-pressed="true">all <b>{len(counts)}</b></button>'
    )
    return buttons + "".join(
        f'<button type="button" class="{_kind(state)}" data-state="{state}" '
        f'aria-pressed="false">{state} <b>{with_state[state]}</b></button>'
        for state in _ordered(with_state)
    )


def _ordered(states: Counter[str]) -> list[str]:
    return [state for state in (*map(str, Status), _LEFT) if states[state]]


def _kind(state: str) -> str:
    return "whole" if state in WHOLE else "left" if state == _LEFT else "lacking"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
