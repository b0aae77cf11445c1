"""A stack's policy for newer releases: the `[update]` table of its file."""

from __future__ import annotations

from typing import Annotated, Literal

from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field

from dsk.frozen import Frozen
from dsk.matrix.profiles import Text


def _version(value: str) -> str:
    try:
        # No message: an error quotes the field's description.
        Version(value)
    except InvalidVersion as error:
        raise ValueError from error
    return value


class HeldRelease(Frozen):
    """A release that is not proposed."""

    version: Annotated[str, Field(min_length=1), AfterValidator(_version)] = Field(
        description='an exact version such as "0.31.0"'
    )
    why: Text = Field(description="the reason, in words")


class UpdatePolicy(Frozen):
    """Policy of the releases of vLLM that are proposed for a stack."""

    follow: Literal["minor", "patch", "none"] = Field(
        default="minor",
        description='"minor" (every later release of the same major), "patch" or "none"',
    )
    hold: tuple[HeldRelease, ...] = Field(
        default=(), description="a list of tables of version and why"
    )
    minimum_age_days: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=14, description="days since the upload, a whole number"
    )

    def refusal(self, pinned: str, version: str, age_days: int | None) -> str:
        """Return why a newer release is not proposed; empty if it is.

        Args:
            pinned: the stack's version.
            version: a later one.
            age_days: whole days since its upload; None if the index does not give it.
        """
        release, present = Version(version).release, Version(pinned).release
        held = next((each.why for each in self.hold if _same(each.version, version)), "")
        too_young = age_days is not None and age_days < self.minimum_age_days
        reasons = (
            (bool(held), f"held: {held}"),
            (Version(version).is_prerelease, "a pre-release"),
            (self.follow == "none", 'follow = "none"'),
            (release[0] != present[0], "another major release"),
            (
                self.follow == "patch" and release[:2] != present[:2],
                'another minor release, and follow = "patch"',
            ),
            (age_days is None, "of unknown age"),
            (too_young, f"{age_days} days old, younger than {self.minimum_age_days}"),
        )
        return next((reason for applies, reason in reasons if applies), "")


def _same(version: str, other: str) -> bool:
    return Version(version) == Version(other)
