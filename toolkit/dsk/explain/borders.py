"""Exceptions at the border of two packages: one asks for what the other's release lacks."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.version import InvalidVersion, Version

from dsk.explain.search_result import LogMatch, SearchResult
from dsk.explain.tracebacks import REMOTE_CODE, Traceback
from dsk.matrix import load_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dsk.explain.rules import Moved, Symptoms

# Messages that name the other side's module.
_NAMED: Final = (
    re.compile(
        r"cannot import name '(?P<name>\w{1,80})' from (?:partially initialized module )?"
        r"'(?P<module>\w{1,60})[\w.]{0,160}'"
    ),
    re.compile(r"No module named '(?P<name>(?P<module>\w{1,60})\.[\w.]{1,160})'"),
    re.compile(r"module '(?P<module>\w{1,60})[\w.]{0,160}' has no attribute '(?P<name>\w{1,80})'"),
)
# Python 3.6's message, and a line that was cut: the module is not named.
_NAME_ALONE: Final = re.compile(r"^cannot import name '(?P<name>\w{1,80})'$")
# Messages that name an attribute, an argument or a key alone.
_MEMBER: Final = re.compile(
    r"(?:type object )?'?(?P<class>\w{1,80})'? (?:object )?has no attribute '?(?P<name>\w{1,80})"
)
_CALL: Final = re.compile(
    r"(?P<function>[\w.<>]{1,120})\(\) (?:"
    r"got (?:an unexpected keyword argument|multiple values for argument) '(?P<name>\w{1,80})"
    r"|missing \d{1,2} required [\w-]{1,20} arguments?: '(?P<missing>\w{1,80})"
    r"|takes (?:from )?\d{1,2})"
)
# Classes whose home can be told from their name.
_HOMES: Final = (
    (
        re.compile(
            r"\w*(?:Tokenizer|TokenizerFast|TokenizersBackend|Config|Cache|GenerationMixin)$|Auto\w+$"
        ),
        "transformers",
    ),
    (
        re.compile(r"(?:BatchEncoding|BatchFeature|PreTrained\w+|\w*ImageProcessor(?:Fast)?)$"),
        "transformers",
    ),
    (re.compile(r"flash_attn\w*|_?flash_attention\w*"), "flash_attn"),
    (
        re.compile(
            r"(?:EngineArgs|AsyncEngineArgs|LLM|LLMEngine|AsyncLLM|SamplingParams|ModelConfig|"
            r"VllmConfig|init_app_state|build_async_engine_client\w*)$"
        ),
        "vllm",
    ),
)
# What these lack says nothing of a release: mostly a value that was never set.
_ANYTHING: Final = frozenset({"NoneType", "str", "int", "float", "tuple", "bytes", "bool"})
_BUILTIN: Final = frozenset({"list", "dict", "set", "function", "method", "type", "property"})
_KEY: Final = re.compile(r"^'(?P<name>[\w.-]{1,80})'$")


@dataclass(frozen=True, kw_only=True)
class Border:
    """Two packages of releases that do not belong together."""

    asker: str
    asked: str
    """Package that lacks the name; empty if the log does not show which."""
    name: str
    """Name of what is asked for."""
    moved: Moved | None
    """Release in which the asked package removed or brought that name, if it is known."""


def with_borders(symptoms: Symptoms, result: SearchResult) -> SearchResult:
    """Return a search's result with the borders at which its tracebacks ended, as matches.

    The first rule with this detector that names either package of a border has it.

    Args:
        symptoms: the rules.
        result: the search's result.
    """
    matches = {key: list(found) for key, found in result.matches.items()}
    for traceback in result.tracebacks:
        found = border(traceback, symptoms.moved)
        if found is None:
            continue
        rule = next(
            (r for r in symptoms.rule if {found.asker, found.asked}.intersection(r.border)), None
        )
        if rule is not None:
            matches.setdefault((rule.id, "patterns"), []).append(
                LogMatch(
                    line=traceback.line,
                    text=traceback.text,
                    level="ERROR",
                    groups=_groups(found, result.facts),
                )
            )
    for found_matches in matches.values():
        found_matches.sort(key=lambda match: match.line)
    return dataclasses.replace(result, matches=matches)


def _groups(found: Border, facts: Mapping[str, str]) -> dict[str, str]:
    groups = {
        "asker": title(found.asker, facts),
        "asked": title(found.asked, facts),
        "name": found.name,
        "moved": moved_text(found.moved, facts),
        "agreeing": _agreeing(found),
    }
    return {name: value for name, value in groups.items() if value}


def title(package: str, facts: Mapping[str, str]) -> str:
    """Return a package's name as people know it, with its version if the log shows it."""
    name = _TITLES.get(package, package)
    version = facts.get(package.replace("_", "-"))
    return f"{name} {version}" if version else name


_TITLES: Final = {
    REMOTE_CODE: "the model's own code",
    "flash_attn": "flash-attn",
    "": "the code that calls it",
}


def _agreeing(found: Border) -> str:
    """Return what dsk's stacks pin of the two packages; empty if none pins both."""
    stacks = []
    for stack in load_matrix().stacks.values():
        pins = {name.removesuffix("-cpu").replace("-", "_"): v for name, v in stack.pins.items()}
        pair = [package for package in (found.asker, found.asked) if package in pins]
        if len(pair) == len({found.asker, found.asked} - {REMOTE_CODE, ""}) and pair:
            stacks.append(f"{stack.id}: {' with '.join(f'{name} {pins[name]}' for name in pair)}")
    return "; ".join(stacks)


def border(traceback: Traceback, moved: Sequence[Moved]) -> Border | None:
    """Return the border at which a traceback ended; None if it ended at none.

    Args:
        traceback: the traceback.
        moved: names of which the release is known that removed or brought them.
    """
    kind = traceback.exception.rpartition(".")[2]
    if kind in ("ImportError", "ModuleNotFoundError", "AttributeError"):
        for pattern in _NAMED:
            if match := pattern.search(traceback.message):
                return _between(traceback, match["module"], match["name"], moved)
    if kind == "ImportError" and (match := _NAME_ALONE.search(traceback.message)):
        return _of_name(traceback, match["name"], moved)
    if kind == "AttributeError" and (match := _MEMBER.search(traceback.message)):
        return _of_member(traceback, match["class"], match["name"], moved)
    if kind == "TypeError" and (match := _CALL.search(traceback.message)):
        name = match["name"] or match["missing"] or ""
        return _of_call(traceback, match["function"], name, moved)
    if kind == "KeyError" and (match := _KEY.search(traceback.message)):
        return _of_key(traceback, match["name"], moved)
    return None


def _between(traceback: Traceback, asked: str, name: str, moved: Sequence[Moved]) -> Border | None:
    asker = next((package for package in traceback.packages if package != asked), "")
    if not asker:
        return None
    return _border(asker, asked, name, moved)


def _of_name(traceback: Traceback, name: str, moved: Sequence[Moved]) -> Border | None:
    known = _known(name, moved)
    asked = known.package if known else _home(name)
    asker = next((package for package in traceback.packages if package != asked), "")
    return _border(asker, asked, name, moved) if asked else None


def _of_member(
    traceback: Traceback, owner: str, name: str, moved: Sequence[Moved]
) -> Border | None:
    if owner in _ANYTHING:
        return None
    known = _known(name, moved)
    asked = known.package if known else _home(owner)
    packages = traceback.packages
    if not asked and len(packages) > 1 and owner not in _BUILTIN:
        # The innermost call asks an object that an outer package handed to it.
        return _border(packages[0], packages[1], name, moved)
    if owner in _BUILTIN:
        # What one package gives, another takes for something else: both are on the traceback.
        pair = packages[:2]
        return (
            _border(pair[1], pair[0], name, moved)
            if len(pair) == 2
            else (_border("", asked, name, moved) if known else None)
        )
    asker = next((package for package in packages if package != asked), "")
    return _border(asker, asked, name, moved) if asked else None


def _of_call(
    traceback: Traceback, function: str, name: str, moved: Sequence[Moved]
) -> Border | None:
    packages = traceback.packages
    asked = _home(function.partition(".")[0]) or _home(function.rpartition(".")[2])
    asker = next((package for package in packages if package != asked), "")
    if asked:
        return _border(asker, asked, f"{function}({name})", moved) if asker else None
    # A call fails in its caller: the innermost frame is the asker, and the function is of one of
    # the packages around it, mostly the one that called back.
    if len(packages) > 1:
        return _border(packages[0], packages[1], f"{function}({name})", moved)
    return None


def _of_key(traceback: Traceback, name: str, moved: Sequence[Moved]) -> Border | None:
    packages = traceback.packages
    known = _known(name, moved)
    if known and known.package in packages:
        asker = next((package for package in packages if package != known.package), "")
        return _border(asker, known.package, name, moved)
    # Model code and a library that disagree about a table; elsewhere a missing key is a fault of
    # the data more often than of a release.
    if REMOTE_CODE in packages[:2] and len(packages) > 1:
        other = next(package for package in packages if package != REMOTE_CODE)
        return _border(REMOTE_CODE, other, name, moved)
    return None


def _border(asker: str, asked: str, name: str, moved: Sequence[Moved]) -> Border:
    known = _known(name, moved)
    return Border(
        asker=asker,
        asked=asked,
        name=name,
        moved=known if known and known.package == asked else None,
    )


def _home(name: str) -> str:
    return next((package for pattern, package in _HOMES if pattern.match(name)), "")


def _known(name: str, moved: Sequence[Moved]) -> Moved | None:
    return next((entry for entry in moved if name in entry.names), None)


def moved_text(moved: Moved | None, versions: Mapping[str, str]) -> str:
    """Return a sentence that says which side moved; empty if that is not known.

    Args:
        moved: when the name came or went.
        versions: the versions that the log shows, by package.
    """
    if moved is None:
        return ""
    at = moved.removed or moved.added
    verb = "removed" if moved.removed else "introduced"
    text = f"{moved.package} {verb} it in {at}"
    if version := versions.get(moved.package.replace("_", "-")):
        try:
            new = Version(version) >= Version(at)
        except InvalidVersion:
            return text
        if bool(moved.removed) == new:
            text += f", and {version} is installed"
    return text
