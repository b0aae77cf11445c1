"""Rules of known failures: their types, and the loader of ``compat/symptoms.toml``."""

from __future__ import annotations

import functools
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, Field, ValidationError, model_validator

from dsk import paths
from dsk.errors import MatrixInvalid
from dsk.explain import pattern_safety
from dsk.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

Category = Literal[
    "cpu-mac-windows",
    "cuda-driver",
    "docker",
    "engine",
    "flash-attn",
    "gpu-arch",
    "hf-download",
    "other",
    "output-quality",
    "preprocessing",
    "registry",
    "tokenizer-config",
    "torch-abi",
    "transformers-version",
    "vram",
]
CATEGORIES: Final[tuple[str, ...]] = get_args(Category)
Rank = Literal["root", "consequence", "hint"]
BORDER_GROUPS: Final = frozenset({"asker", "asked", "name", "moved", "agreeing"})
STAGE_GROUPS: Final = frozenset({"what", "package", "place"})
PLACEHOLDER: Final = re.compile(r"\{(?P<name>\w{1,40})(?:\|(?P<otherwise>[^{}]{0,200}))?\}")
OPTIONAL: Final = re.compile(r"\[(?P<text>[^\[\]{}]{0,80}\{(?P<name>\w{1,40})\}[^\[\]{}]{0,80})\]")


def _safe(pattern: str) -> str:
    pattern_safety.check(pattern)
    return pattern


def _versions(specifier: str) -> str:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise ValueError(str(error)) from error
    return specifier


Pattern = Annotated[str, AfterValidator(_safe)]
Specifier = Annotated[str, AfterValidator(_versions)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Link = Annotated[str, Field(pattern=r"^https://")]
Examples = Annotated[tuple[str, ...], Field(min_length=1)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]


class Rule(Frozen):
    """One known failure: its patterns in a log, its cause, its fix."""

    id: Identifier
    category: Category
    cause: str
    """Reason for the failure. From the patterns' groups: ``{name}``, ``{name|otherwise}``, and
    ``[ ({name})]``, which is left out if the group has no value."""
    fix: str
    """Fix, with the same placeholders."""
    fix_for: dict[str, str] = Field(default_factory=dict)
    """Fix for one stack, by the stack's id, where that differs from ``fix``."""
    fix_where: dict[str, str] = Field(default_factory=dict)
    """Fix for one place, by the place's id: the first place that the log shows decides."""
    packages: tuple[str, ...] = ()
    """Packages at fault: the fix names the versions that the stack pins for them."""
    patterns: tuple[Pattern, ...] = ()
    """Patterns of the failure's own message: any of them on a line is evidence. Only a rule with
    detector "exception" may have none."""
    detector: Literal["", "repetition", "border", "exception"] = ""
    """Detector of evidence that no pattern can match: text repeated without end, an exception at
    the border of two packages, or one that was raised in a stage of the program. The second fills
    ``{asker}``, ``{asked}``, ``{name}``, ``{moved}`` and ``{agreeing}``, the last ``{what}``,
    ``{package}`` and ``{place}``."""
    frames: tuple[str, ...] = ()
    """Patterns of the calls of one stage, as ``path:function`` with slashes."""
    border: tuple[str, ...] = ()
    """Packages of which one stands on either side of the border; the first such rule has it."""
    all: tuple[Pattern, ...] = ()
    """Patterns that must all match somewhere in the log, too."""
    details: tuple[Pattern, ...] = ()
    """Patterns that prove nothing, but fill placeholders and are shown with the evidence."""
    unless: tuple[Pattern, ...] = ()
    """Patterns that rule this failure out, anywhere in the log."""
    when: dict[str, Specifier] = Field(default_factory=dict)
    """Versions for which it can be the cause, by fact; an unknown version matches."""
    rank: Rank = "root"
    """A consequence comes after every root; a hint is reported only where there is neither."""
    specificity: Annotated[int, Field(ge=0, le=3)] = 1
    """If several rules match a line, only the most specific ones keep it."""
    warning_counts: bool = False
    """True if a line that was logged as a warning counts like an error."""
    field_only: bool = False
    """True if the failure is every program's: it is reported only in logs of this field."""
    outlives_success: bool = False
    """True if a success that comes later does not show that the failure was overcome."""
    reports_another: bool = False
    """True if it only reports that something failed: no cause where the log holds the exception."""
    likely: bool = False
    """True if the evidence allows for other causes, too: the report says "Likely"."""
    sources: Annotated[tuple[Link, ...], Field(min_length=1)]
    positive: Examples
    negative: Examples

    @model_validator(mode="after")
    def _placeholders_can_be_filled(self) -> Self:
        # {name} needs a group that every pattern has; with a default, some pattern is enough.
        always = set.intersection(*(_groups(p) for p in self.patterns)) if self.patterns else set()
        ever = set().union(*(_groups(p) for p in (*self.patterns, *self.all, *self.details)))
        ever |= BORDER_GROUPS if self.detector == "border" else set()
        ever |= STAGE_GROUPS if self.detector == "exception" else set()
        for text in (self.cause, self.fix, *self.fix_for.values(), *self.fix_where.values()):
            free = [part["name"] for part in OPTIONAL.finditer(text)]
            rest = list(PLACEHOLDER.finditer(OPTIONAL.sub("", text)))
            free += [part["name"] for part in rest if part["otherwise"] is not None]
            bound = [part["name"] for part in rest if part["otherwise"] is None]
            if wrong := [*set(free) - ever, *set(bound) - always]:
                msg = (
                    f"placeholder {wrong[0]}: {sorted(always)} (groups of every pattern) as "
                    f"{{name}}, {sorted(ever)} as {{name|otherwise}} or in square brackets"
                )
                raise ValueError(msg)
        if bool(self.border) != (self.detector == "border"):
            msg = "'border' goes with detector 'border'"
            raise ValueError(msg)
        if bool(self.frames) != (self.detector == "exception"):
            msg = "'frames' goes with detector 'exception'"
            raise ValueError(msg)
        if not self.patterns and not self.frames:
            msg = "'patterns' is needed but for detector 'exception'"
            raise ValueError(msg)
        return self


class Harmless(Frozen):
    """Line that looks like a failure and is none."""

    id: Identifier
    why: str
    patterns: Patterns
    sources: Annotated[tuple[Link, ...], Field(min_length=1)]
    positive: Examples
    negative: Examples


class Fact(Frozen):
    """Property of the machine or the environment that a log shows, in the group ``value``."""

    name: Identifier
    patterns: Patterns


class Place(Frozen):
    """Surroundings that a log shows, in which another fix is right."""

    id: Identifier
    patterns: Patterns


class Moved(Frozen):
    """Names that a release of a package removed or brought."""

    package: str
    """Importable top-level package."""
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    removed: str = ""
    """First release without them."""
    added: str = ""
    """First release with them."""

    @model_validator(mode="after")
    def _one_release(self) -> Self:
        if bool(self.removed) == bool(self.added):
            msg = "exactly one of 'removed' and 'added' is needed"
            raise ValueError(msg)
        _versions(f">={self.removed or self.added}")
        return self


class Symptoms(Frozen):
    """All rules."""

    success: Patterns
    """Patterns of a successful start: failures before it were overcome."""
    field: Patterns
    """Patterns of logs of this field, for rules with ``field_only``."""
    foreign: Patterns
    """Patterns of other programs' logs, for the same rules."""
    wrapper: Patterns
    """Patterns of exceptions that only pass on another one, or follow from a process's end."""
    survived: Patterns
    """Patterns that say on an error's own line that the program goes on."""
    quoted: Patterns
    """Patterns of lines that hold words of others, such as the text of a page."""
    fact: tuple[Fact, ...] = ()
    place: tuple[Place, ...] = ()
    moved: tuple[Moved, ...] = ()
    harmless: tuple[Harmless, ...] = ()
    rule: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        # Matches are kept by id, of rules and of harmless lines in one dictionary.
        ids = [*(rule.id for rule in self.rule), *(entry.id for entry in self.harmless)]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            msg = f"ids used twice: {', '.join(twice)}"
            raise ValueError(msg)
        facts = {fact.name for fact in self.fact}
        for rule in self.rule:
            if unknown := sorted(set(rule.when) - facts):
                msg = f"rule {rule.id}: 'when' names no fact: {', '.join(unknown)}"
                raise ValueError(msg)
            if unknown := sorted(set(rule.fix_where) - {place.id for place in self.place}):
                msg = f"rule {rule.id}: 'fix_where' names no place: {', '.join(unknown)}"
                raise ValueError(msg)
        return self


def _groups(pattern: str) -> set[str]:
    return set(pattern_safety.groups(pattern))


@functools.cache
def load(path: Path | None = None) -> Symptoms:
    """Return the symptoms in ``path``, or in the compatibility matrix.

    Raises:
        MatrixInvalid: the file is missing or invalid; the message names file, key, found, allowed.
    """
    path = path or paths.compat() / "symptoms.toml"
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        return Symptoms.model_validate(raw)
    except OSError as error:
        what = f"{path}: cannot be read ({error.strerror})"
        raise MatrixInvalid(what, do="restore it from the repository") from error
    except tomllib.TOMLDecodeError as error:
        what = f"{path}: not valid TOML: {error}"
        raise MatrixInvalid(what, do="fix that line") from error
    except ValidationError as error:
        raise MatrixInvalid(*_first_fault(path, raw, error)) from error


def _first_fault(path: Path, raw: dict[str, Any], error: ValidationError) -> tuple[str]:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the whole file"
    match fault["loc"]:
        # A rule's id is easier to find in the file than its number.
        case (str(kind), int(index), *_) if isinstance(raw[kind][index], dict):
            key = f"{kind} {raw[kind][index].get('id', index)!r}, key {key}"
    value = repr(fault["input"])
    value = value if len(value) <= 80 else f"{value[:77]}..."
    return (f"{path}: {key}: found {value}; allowed: {fault['msg']}",)
