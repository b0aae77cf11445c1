"""Statements in the OpenVEX format: what a known vulnerability means for this project."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal, Self

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dsk.errors import MatrixInvalid

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "vex"
CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"

VexStatus = Literal["not_affected", "affected", "fixed", "under_investigation"]
Justification = Literal[
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
]
MITIGATED: Final = "inline_mitigations_already_exist"


class _Strict(BaseModel):
    """A record of a file that is written by hand: an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class VulnerabilityName(_Strict):
    """A vulnerability by its identifiers."""

    name: str
    aliases: tuple[str, ...] = ()


class Component(_Strict):
    """A package of the product, by its package URL."""

    id: str = Field(alias="@id", pattern=r"^pkg:pypi/[a-z0-9-]+@[^/@?#\s]+$")

    @property
    def package(self) -> tuple[str, str]:
        """Normalised name and version."""
        name, _, version = self.id.removeprefix("pkg:pypi/").partition("@")
        return canonicalize_name(name), version


class Product(_Strict):
    """A stack, dsk itself, or its development tools."""

    id: str = Field(alias="@id", pattern=r"^pkg:generic/dsk/[a-z0-9-]+(@[0-9][0-9a-z.]*)?$")
    subcomponents: tuple[Component, ...] = Field(min_length=1)


class VexStatement(_Strict):
    """The status of one vulnerability in the products that a statement names."""

    vulnerability: VulnerabilityName
    timestamp: dt.datetime
    products: tuple[Product, ...] = Field(min_length=1)
    status: VexStatus
    justification: Justification | None = None
    impact_statement: str = ""
    action_statement: str = ""
    status_notes: str = Field(
        default="", description="the tests that show a mitigation, as paths, one after the other"
    )

    @model_validator(mode="after")
    def _refuse_bare_statuses(self) -> Self:
        if self.status == "not_affected" and not (self.justification and self.impact_statement):
            text = "not_affected needs a justification and an impact_statement"
            raise ValueError(text)
        if self.status == "affected" and not self.action_statement:
            text = "affected needs an action_statement"
            raise ValueError(text)
        if self.status == "fixed" and not self.impact_statement:
            text = "fixed needs an impact_statement that says by what"
            raise ValueError(text)
        # A mitigation that no test shows may be gone tomorrow.
        if self.justification == MITIGATED and not self.tests:
            text = f"{MITIGATED} needs status_notes that name the test of the mitigation"
            raise ValueError(text)
        return self

    @property
    def names(self) -> frozenset[str]:
        """All identifiers of the vulnerability."""
        return frozenset((self.vulnerability.name, *self.vulnerability.aliases))

    @property
    def packages(self) -> frozenset[tuple[str, str]]:
        """Names and versions that it is about."""
        return frozenset(
            component.package for product in self.products for component in product.subcomponents
        )

    @property
    def tests(self) -> tuple[str, ...]:
        """Paths of the tests that show the mitigation, below the repository's root."""
        return tuple(word for word in self.status_notes.split() if word.startswith("tests/"))

    @property
    def guard(self) -> str:
        """The sentence on why the vulnerability cannot be used, or on what is to be done."""
        return self.action_statement if self.status == "affected" else self.impact_statement


class VexDocument(_Strict):
    """An OpenVEX document: the statements about one product."""

    context: Literal["https://openvex.dev/ns/v0.2.0"] = Field(alias="@context")
    id: str = Field(alias="@id")
    author: str
    timestamp: dt.datetime
    last_updated: dt.datetime | None = None
    version: int = Field(ge=1)
    statements: tuple[VexStatement, ...] = ()


def file_of(folder: Path, target: str) -> Path:
    """Return the file of a stack's statements, or of another target's, in a matrix's folder."""
    return folder / FOLDER / f"{target}.openvex.json"


def load(folder: Path, target: str) -> tuple[VexStatement, ...]:
    """Load the statements about a target; none if it has no file.

    Raises:
        MatrixInvalid: the file is no OpenVEX document, or is about another product.
    """
    file = file_of(folder, target)
    do = "correct it: https://github.com/openvex/spec describes the format"
    try:
        document = VexDocument.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{file}, key '{key}': {first['msg']}"
        raise MatrixInvalid(what, do=do) from invalid
    for at, statement in enumerate(document.statements):
        for product in statement.products:
            if product.id != f"pkg:generic/dsk/{target}":
                what = f"{file}, key 'statements.{at}.products': found {product.id}"
                raise MatrixInvalid(what, do=f"expected pkg:generic/dsk/{target}")
    return document.statements
