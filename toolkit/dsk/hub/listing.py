"""Files of a revision as the hub lists them, checked before one byte of them is fetched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsk.errors import VerificationFailed
from dsk.filenames import printable
from dsk.hub.store import COMMIT, ListedFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsk.file_pins import FilePin

_ANOTHER: Final = "do not use this mirror; set HF_ENDPOINT to another one"


class _HubAnswer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _LargeFile(_HubAnswer):
    sha256: str


class _Sibling(_HubAnswer):
    path: str = Field(alias="rfilename")
    size: int = 0
    blob: str = Field(alias="blobId", default="")
    lfs: _LargeFile | None = None


class _Revision(_HubAnswer):
    sha: str
    siblings: Annotated[list[_Sibling], Field(max_length=10_000)]


def read_listing(content: bytes, hub: str, revision: str) -> tuple[str, tuple[ListedFile, ...]]:
    """Return the commit and the files of the hub's answer.

    Args:
        content: the answer's JSON.
        hub: the model that was asked for.
        revision: the commit, branch or tag that was asked for.

    Raises:
        VerificationFailed: it is another commit, or no list of files that may be fetched.
    """
    try:
        answer = _Revision.model_validate(json.loads(content))
    except (ValueError, RecursionError) as error:
        what = f"the hub gives no list of the files of {hub}"
        raise VerificationFailed(what, do=_ANOTHER) from error
    if not COMMIT.fullmatch(answer.sha) or (COMMIT.fullmatch(revision) and answer.sha != revision):
        what = f"the hub answers with the commit '{printable(answer.sha[:60])}' for {revision}"
        raise VerificationFailed(what, do=_ANOTHER)
    files = tuple(_listed(sibling, hub) for sibling in answer.siblings)
    if len({file.path for file in files}) < len(files):
        what = f"the hub lists a file of {hub} twice"
        raise VerificationFailed(what, do=_ANOTHER)
    return answer.sha, files


def pinned(
    files: tuple[ListedFile, ...], pins: Mapping[str, FilePin], hub: str
) -> tuple[ListedFile, ...]:
    """Return the listed files that the matrix names, each held against its pin.

    Raises:
        VerificationFailed: one is missing, or has another size or hash than pinned.
    """
    listed = {file.path: file for file in files}
    for path, pin in pins.items():
        if path not in listed:
            what = f"the hub does not list {path} of {hub}"
            raise VerificationFailed(what, do=_ANOTHER)
        file = listed[path]
        other_size = pin.size is not None and file.size != pin.size
        other_hash = pin.sha256 is not None and file.is_large and file.digest != pin.sha256
        if other_size or other_hash:
            what = f"the hub lists {path} of {hub} with another size or hash than models.toml pins"
            raise VerificationFailed(what, do=_ANOTHER)
    return tuple(listed[path] for path in pins)


def _listed(sibling: _Sibling, hub: str) -> ListedFile:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob
    try:
        return ListedFile(path=sibling.path, size=sibling.size, digest=digest)
    except ValidationError as error:
        name = printable(sibling.path[:80])
        fields = {str(detail["loc"][0]) for detail in error.errors()}
        what = (
            f"the hub lists a file of {hub} with the unsafe name '{name}'"
            if "path" in fields
            else f"the hub lists files of {hub} without their hashes"
        )
        raise VerificationFailed(what, do=_ANOTHER) from error
