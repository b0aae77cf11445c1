"""Stage of a program in which the exception that ended it was raised, told by its calls."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Final

from dsk.explain import borders
from dsk.explain.search_result import LogMatch, SearchResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.explain.incidents import Incident
    from dsk.explain.rules import Rule, Symptoms
    from dsk.explain.tracebacks import Frame, Traceback

# Levels at which programs log what they survive.
_BELOW_ERROR: Final = ("DEBUG", "INFO", "WARNING")
_MOST: Final = 240  # characters of a message that a cause repeats
# Installed files, and those of a checkpoint that were copied beside a script.
_NO_SCRIPT: Final = re.compile(r"(?:site|dist)-packages[/\\]|modeling_\w{1,60}\.py$")
_TYPE_OF_INPUT: Final = re.compile(r" \[type=\w{1,40}.*")  # the end of pydantic's messages


def with_stage(symptoms: Symptoms, result: SearchResult, incident: Incident) -> SearchResult:
    """Return a search's result with the exception that ended the log, as a match of its stage.

    The innermost call that belongs to a stage decides; the rule that takes any call of the
    field's packages comes last.

    Args:
        symptoms: the rules.
        result: the search's result.
        incident: the exceptions that ended the log.
    """
    last = incident.tracebacks[-1]
    if last.level in _BELOW_ERROR:
        return result
    found = _stage(symptoms, last)
    if found is None:
        return result
    rule, frame = found
    matches = {key: list(kept) for key, kept in result.matches.items()}
    match = LogMatch(
        line=last.line, text=last.text, level="ERROR", groups=_groups(last, frame, result.facts)
    )
    kept = matches.setdefault((rule.id, "patterns"), [])
    kept[:] = [*(other for other in kept if other.line != match.line), match]
    kept.sort(key=lambda kept_match: kept_match.line)
    return dataclasses.replace(result, matches=matches)


def _stage(symptoms: Symptoms, traceback: Traceback) -> tuple[Rule, Frame] | None:
    stages = [rule for rule in symptoms.rule if rule.detector == "exception"]
    # One rule at a time from the most specific on: the last one takes what none of them took.
    for specificity in sorted({rule.specificity for rule in stages}, reverse=True):
        for frame in reversed(traceback.frames):
            if not frame.package and not _NO_SCRIPT.search(frame.path):
                continue  # a user's own folder may have any name
            call = f"{frame.path}:{frame.function}".replace("\\", "/")
            for rule in stages:
                if rule.specificity == specificity and _any(rule.frames).search(call):
                    return rule, frame
    return None


@functools.cache
def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _groups(traceback: Traceback, frame: Frame, facts: Mapping[str, str]) -> dict[str, str]:
    kind = traceback.exception.rpartition(".")[2]
    message = _TYPE_OF_INPUT.sub("", traceback.message)
    message = message if len(message) <= _MOST else f"{message[:_MOST]}..."
    package = frame.package or next(iter(traceback.packages), "")
    groups = {
        "what": f"{kind}: {message}" if message else kind,
        "package": borders.title(package, facts) if package else "",
        "place": f"{frame.function}() in {_short(frame.path, package)}" if frame.function else "",
    }
    return {name: value for name, value in groups.items() if value}


def _short(path: str, package: str) -> str:
    path = path.replace("\\", "/")
    start = path.rfind(f"/{package}/") + 1 if package else 0
    return path[start:] if start else path.rpartition("/")[2]
