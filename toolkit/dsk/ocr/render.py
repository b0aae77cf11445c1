"""Pages of documents as pixels, made in a process of its own: a page that hangs, crashes or takes
too much memory costs that page, and the next ones come.

``python -m dsk.ocr.render``: questions on standard input, a line of JSON each; to each a line of
JSON on standard output, and the pixels after it.
"""

from __future__ import annotations

import select
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict

from dsk.ocr.confined import confine
from dsk.ocr.job import Document
from dsk.ocr.limits import Limits, flag
from dsk.ocr.record import Sheet, Status
from dsk.ocr.sources import PageRefused, Source, in_a_line, open_document
from dsk.processes import worker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_PAGES: Final = 500
"""After so many a new process takes over: MuPDF keeps fonts and glyphs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """A page as pixels, or the state that it has ended in without any."""

    document: Document
    page: int
    sheet: Sheet | None = None
    image: Image.Image | None = None
    status: Status | None = None
    reason: str = ""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Question(_Frozen):
    document: Document
    page: int
    dpi: int
    limits: Limits


class _Answer(_Frozen):
    """``status`` is None where pixels follow."""

    sheet: Sheet | None = None
    status: Status | None = None
    reason: str = ""


def rendered(documents: list[Document], dpi: int, limits: Limits) -> Iterator[Rendered]:
    """Every chosen page of every document, in order, one at a time.

    Args:
        dpi: dots per inch; the model's own scripts use 144.
    """
    with Renderer(limits) as renderer:
        for document in documents:
            # The document's pages would each go along with each question.
            bare = document.model_copy(update={"pages": []})
            for page in document.pages:
                answer, image = renderer.render(bare, page, dpi)
                yield Rendered(
                    document=document,
                    page=page,
                    sheet=answer.sheet,
                    image=image,
                    status=answer.status,
                    reason=answer.reason,
                )


class Renderer:
    """The process that renders. A context manager: leaving it ends the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def render(self, document: Document, page: int, dpi: int) -> tuple[_Answer, Image.Image | None]:
        """A page's sizes and pixels, or the state that it ends in."""
        question = _Question(document=document, page=page, dpi=dpi, limits=self._limits)
        if not self._left:
            self._end()
            self._process, self._left = _started(), _PAGES
        self._left -= 1
        assert self._process is not None
        try:
            answered = _asked(self._process, question, self._limits.render_seconds)
        except TimeoutError:
            self._end()
            what = f"it took longer than {self._limits.render_seconds} s to render"
            reason = f"{what}: {flag('render_seconds')} raises the limit"
            return _Answer(status=Status.TIMED_OUT, reason=reason), None
        except EOFError:
            self._end()
            reason = "the process that rendered it crashed, or ran out of memory"
            return _Answer(status=Status.RENDER_FAILED, reason=reason), None
        return answered

    def _end(self) -> None:
        process, self._process, self._left = self._process, None, 0
        if process is not None:
            process.kill()
            process.communicate()


def _started() -> subprocess.Popen[bytes]:
    process = worker([sys.executable, "-m", "dsk.ocr.render"])
    assert process.stdout is not None
    process.stdout.readline()  # it is ready: no page is to blame for how long that took
    return process


def _asked(
    process: subprocess.Popen[bytes], question: _Question, seconds: float
) -> tuple[_Answer, Image.Image | None]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(question.model_dump_json().encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise EOFError from None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    if not ready:
        raise TimeoutError
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    answer = _Answer.model_validate_json(line)
    if answer.sheet is None or answer.status is not None:
        return answer, None
    size = (answer.sheet.width, answer.sheet.height)
    return answer, Image.frombytes("RGB", size, _read(process.stdout, 3 * size[0] * size[1]))


def _read(stream: IO[bytes], count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found


class _Shelf:
    """The document that is open: pages come in order, and opening takes longer than a page."""

    def __init__(self) -> None:
        self._document: Document | None = None
        self._source: Source | None = None

    def opened(self, question: _Question) -> Source:
        if self._source is None or self._document != question.document:
            if self._source is not None:
                self._source.__exit__(None, None, None)
                self._source = None
            self._source = open_document(question.document, question.limits)
            self._document = question.document
        return self._source


def _answer(question: _Question, shelf: _Shelf) -> tuple[_Answer, bytes]:
    try:
        source = shelf.opened(question)
        sheet = source.sheet(question.page, question.dpi)
        image = source.image(question.page, question.dpi)
    except PageRefused as error:
        return _Answer(status=Status.REFUSED, reason=in_a_line(error)), b""
    except MemoryError:
        return _Answer(status=Status.RENDER_FAILED, reason="it takes too much memory"), b""
    except Exception as error:
        return _Answer(status=Status.RENDER_FAILED, reason=in_a_line(error)), b""
    return _looked_at(source, sheet, image)


def _looked_at(source: Source, sheet: Sheet, image: Image.Image) -> tuple[_Answer, bytes]:
    """A page with pixels, which may show nothing at all."""
    if image.getcolors(1) is None:
        return _Answer(sheet=sheet), image.tobytes()
    if source.repaired:
        reason = "the file is damaged, and nothing of this page is left"
        return _Answer(sheet=sheet, status=Status.REPAIRED_SUSPECT, reason=reason), b""
    return _Answer(sheet=sheet, status=Status.BLANK, reason="it is all of one colour"), b""


def main() -> None:
    """Answer questions until there are no more."""
    confine()
    say = sys.stdout.buffer
    say.write(b"\n")
    say.flush()
    shelf = _Shelf()
    for line in sys.stdin.buffer:
        answer, pixels = _answer(_Question.model_validate_json(line), shelf)
        say.write(answer.model_dump_json().encode() + b"\n")
        say.write(pixels)
        say.flush()


if __name__ == "__main__":
    main()
