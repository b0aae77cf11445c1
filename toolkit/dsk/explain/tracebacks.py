"""Python tracebacks in a log: the packages of their frames and the exception that ended them.

Tracebacks are read backwards from the exception's line, since a log may have lost their beginning.
Lines of other processes in between are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsk.explain.lines import LogLine

REMOTE_CODE: Final = "transformers_modules"
"""Package under which transformers imports the Python files of a checkpoint."""
EXCEPTION: Final = re.compile(
    r"(?P<type>(?:[A-Za-z_]\w{0,60}\.){0,8}\w{0,60}(?:Error|Exception|Interrupt|Exit|Refused|Timeout))"
    r"(?:: (?P<message>.{1,2000})|:?$|\((?P<quote>['\"])(?P<quoted>.{1,2000})(?P=quote),?\)$)"
)
# `File "x.py", line 3, in f`; IPython's `File x.py:3, in f(...)`; rich's `x.py:3 in f`; Colab's
# `[x.py](https://...) in f(...)`.
_FRAME: Final = re.compile(
    r'(?:File "(?P<python>[^"]{1,400})", line (?P<line>\d{1,7})(?:,? in (?P<name>\S{1,120}))?'
    r"|(?:File )?(?P<other>(?:[\w.~+@ -]{0,120}[/\\]){1,40}[\w.-]{1,120}\.pyx?):(?P<number>\d{1,7})"
    r"(?:,? in (?P<function>[\w.<>]{1,120}))?"
    r"|\[(?P<linked>(?:[~/]|[A-Za-z]:)[^\]]{1,300}\.pyx?)\]\([^)]{1,300}\)"
    r" in (?P<linked_name>[\w.<>]{1,120}))"
)
_HEADER: Final = re.compile(r"Traceback \(most recent call last\)")
_CHAIN: Final = re.compile(
    r"The above exception was the direct cause|During handling of the above exception"
)
_LIBRARY: Final = re.compile(r"(?:site|dist)-packages[/\\](?P<package>\w{1,60})")
_STANDARD: Final = re.compile(
    r"^<|(?:^|[/\\])(?:lib(?:64)?[/\\])?python3\.\d{1,2}t?[/\\](?!(?:site|dist)-packages)"
    r"|[/\\]Lib[/\\](?!site-packages)"
)
# Frames that only pass a call on.
_PASS_ON: Final = re.compile(
    r"torch[/\\](?:nn[/\\]modules[/\\]module|utils[/\\]_contextlib|_ops|fx[/\\]|_dynamo[/\\]eval_frame)"
    r"|[/\\]decorator\.py"
)
# Messages whose substance stands on the next lines, and how many of those are taken.
_ANNOUNCES: Final = re.compile(r"^\d{1,4} validation errors? for \w")
_MOST_MORE: Final = 3
# Lines of source code and markers that stand between two frames: IPython prints eleven.
_BETWEEN: Final = 14


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One call of a traceback."""

    package: str
    """Importable top-level package; empty for the standard library and a user's own scripts."""
    path: str
    function: str


@dataclass(frozen=True, kw_only=True)
class Traceback:
    """An exception with the calls that led to it, outermost first; there may be none."""

    exception: str
    """Name of its type, with its module if the log has it."""
    message: str
    line: int
    """Number of the exception's line in the log."""
    text: str
    """That line's message."""
    level: str
    source: str
    """Process that wrote it, as the line's prefix names it; empty if it names none."""
    first_line: int
    """Number of the traceback's first line, as far as it was found."""
    frames: tuple[Frame, ...]
    chained: bool
    """True if another exception stands directly before the traceback, which led to this one."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages of the frames, innermost first, each run of equal ones once."""
        found: list[str] = []
        for frame in reversed(self.frames):
            if frame.package and (not found or found[-1] != frame.package):
                found.append(frame.package)
        return tuple(found)


def read(before: Sequence[LogLine], number: int, after: Sequence[LogLine] = ()) -> Traceback | None:
    """Read the traceback that ends with the last of the given lines.

    Args:
        before: the lines up to and with the exception's.
        number: the number of that line in the log.
        after: lines that follow it, for a traceback that was copied upside down.

    Returns:
        The traceback; None if the last line is no exception.
    """
    last = before[-1]
    match = EXCEPTION.match(last.text)
    if match is None:
        return None
    frames, first, chained = _frames_above(before, number)
    if not frames:
        frames = _frames_below(after)
    return Traceback(
        exception=match["type"],
        message=_message(match, last, after),
        line=number,
        text=last.text,
        level=last.level,
        source=last.source,
        first_line=first,
        frames=tuple(frames),
        chained=chained,
    )


def _message(match: re.Match[str], last: LogLine, after: Sequence[LogLine]) -> str:
    """Return an exception's message, with the lines after it where it only announces them."""
    message = (match["message"] or match["quoted"] or "").strip()
    if message and not message.endswith(":") and not _ANNOUNCES.search(message):
        return message
    more = []
    for line in after[:_MOST_MORE]:
        if line.source != last.source or not line.text or EXCEPTION.match(line.text):
            break
        more.append(line.text)
    return " ".join([message, *more]).strip()


def _frames_above(before: Sequence[LogLine], number: int) -> tuple[list[Frame], int, bool]:
    """Return the frames above the last line, the first line's number, and if a chain precedes."""
    source = before[-1].source
    frames: list[Frame] = []
    first, others = number, 0
    for index in range(len(before) - 2, -1, -1):
        line = before[index]
        if line.source != source:
            continue
        if _HEADER.search(line.text):
            return frames[::-1], number - (len(before) - 1 - index), _chained(before, index, source)
        if EXCEPTION.match(line.text) or _CHAIN.search(line.text):
            return frames[::-1], first, bool(_CHAIN.search(line.text))
        frame = _frame(line.text)
        others = 0 if frame else others + 1
        if others > _BETWEEN:
            break
        if frame:
            frames.append(frame)
            first = number - (len(before) - 1 - index)
    return frames[::-1], first, False


def _chained(before: Sequence[LogLine], header: int, source: str) -> bool:
    texts = [line.text for line in before[max(0, header - 12) : header] if line.source == source]
    return any(_CHAIN.search(text) for text in texts[-3:])


def _frames_below(after: Sequence[LogLine]) -> list[Frame]:
    frames = []
    for line in after:
        if EXCEPTION.match(line.text) or _HEADER.search(line.text):
            break
        if frame := _frame(line.text):
            frames.append(frame)
    return frames[::-1]  # upside down, the innermost call comes first


def _frame(text: str) -> Frame | None:
    match = _FRAME.match(text)
    if match is None:
        return None
    path = match["python"] or match["other"] or match["linked"]
    name = match["name"] or match["function"] or match["linked_name"] or ""
    return Frame(package=package_of(path), path=path, function=name)


def package_of(path: str) -> str:
    """Return the top-level package that a file belongs to; empty if it is no known one's."""
    if "transformers_modules" in path:
        return REMOTE_CODE
    if _PASS_ON.search(path):
        return ""
    if match := _LIBRARY.search(path):
        return match["package"]
    if _STANDARD.search(path):
        return ""
    parts = re.split(r"[/\\]", path)
    for index, part in enumerate(parts[:-1]):
        if part in _KNOWN and _holds_a_package(parts[:index], part):
            return part
    return ""


def _holds_a_package(above: list[str], package: str) -> bool:
    """Return True if folders look like those above a package, not like a user's own.

    A checkout repeats the name or has a folder for sources (``sglang/python/sglang/srt/x.py``), and
    a path that a log shortened begins with the package (``vllm/x.py``). A folder of scripts that
    is only named like a package (``/home/me/vllm/run.py``) has neither.
    """
    if not above or above[-1] in _SHORTENED:
        return True
    return package in above[-1] or above[-1] in _SOURCES


_SHORTENED: Final = frozenset({".", "..", "...", "\u2026"})
_SOURCES: Final = frozenset({"src", "python", "lib", "third_party"})
_KNOWN: Final = frozenset(
    """
    accelerate compressed_tensors deep_gemm docling flash_attn flashinfer huggingface_hub
    llamafactory lmdeploy mistral_common mlx_vlm numpy outlines peft ray sglang swift tokenizers
    torch torchaudio torchvision transformers triton trl unsloth unsloth_zoo verl vllm vllm_ascend
    xformers xgrammar xinference
    """.split()  # noqa: SIM905
)
