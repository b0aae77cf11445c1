"""`run.json`: the result of each input of a run, and the number of pages in each state."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from dsk.control_characters import escaped_in_json
from dsk.filenames import printable
from dsk.files import write_atomically
from dsk.ocr.schema import run_files
from dsk.ocr.schema.events import OutputsMissing, PageDone
from dsk.ocr.schema.page_record import WHOLE, Status

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.engine_config import Placement
    from dsk.ocr.schema.events import Event, Listener
    from dsk.ocr.schema.run_plan import RunPlan


def _cards(placement: Placement) -> dict[str, Any]:
    """Return the cards that read, with their engines; nothing where none is named."""
    cards = placement.described()
    return {"gpus": cards} if cards else {}


class Summary:
    """Counts the pages of a run as they end."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._states: Counter[str] = Counter()
        self._recovered: Counter[str] = Counter()
        self._attempts: Counter[int] = Counter()
        self._missing: dict[str, dict[str, str]] = {}

    def count_for(self, listener: Listener) -> Listener:
        """Return a listener that counts pages, then calls ``listener``."""

        def count(event: Event) -> None:
            if isinstance(event, PageDone):
                self._states[event.status] += 1
                if event.status == Status.RECOVERED:
                    self._recovered[event.how] += 1
                if event.attempts:
                    self._attempts[event.attempts] += 1
            elif isinstance(event, OutputsMissing):
                self._missing[event.folder] = event.reasons
            listener(event)

        return count

    def advice(self) -> list[str]:
        """Return a line on pages that are not whole and one on outputs that are missing, if any."""
        lines = []
        if any(self._states[state] for state in Status if state not in WHOLE):
            what = "some pages did not come out whole: pages.jsonl says which and why"
            do = "the same command reads those again that an engine or a server lost"
            lines.append(f"{what}; {do}, --retry-failed reads them all again")
        if count := len(self._missing):
            of = "1 document" if count == 1 else f"{count} documents"
            what = f"outputs of {of} could not be written: {run_files.SUMMARY} says which and why"
            lines.append(f"{what}; the same command writes them again")
        return lines

    def write(self, out: Path) -> None:
        """Write ``run.json`` into the output folder."""
        documents = self._plan.documents
        skipped = sum(document.page_count - len(document.pages) for document in documents)
        states = self._states + Counter({Status.SKIPPED.value: skipped})
        content = {
            "model": self._plan.identity.model_dump(exclude_defaults=True),
            **_cards(self._plan.placement),
            "pages": dict(sorted(states.items())),
            "recovered_by": dict(sorted(self._recovered.items())),
            "attempts": {str(count): pages for count, pages in sorted(self._attempts.items())},
            "documents": [
                {
                    "path": printable(document.path),
                    "sha256": document.sha256,
                    "folder": str(document.folder.relative_to(out)),
                    "pages": len(document.pages),
                    **self._not_written(document.folder.relative_to(out)),
                }
                for document in documents
            ],
            "rejected": [
                {
                    "path": printable(rejected.path),
                    "status": rejected.status,
                    "reason": rejected.reason,
                }
                for rejected in self._plan.rejected
            ],
        }
        text = json.dumps(content, indent=2, ensure_ascii=False)
        write_atomically(out / run_files.SUMMARY, escaped_in_json(text) + "\n")

    def _not_written(self, folder: Path) -> dict[str, Any]:
        reasons = self._missing.get(printable(folder))
        return {"not_written": dict(sorted(reasons.items()))} if reasons else {}
