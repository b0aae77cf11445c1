"""`dsk model`: fetch a model at its pinned revision, and say whether it is here whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk.errors import VerificationFailed

if TYPE_CHECKING:
    from dsk.matrix import Model

_model = click.option(
    "--model",
    "name",
    default="deepseek-ocr",
    show_default=True,
    help="A model of the matrix, by its id or the hub's name.",
)
_revision = click.option(
    "--revision", metavar="R", help="Another revision than the pinned one: commit, branch or tag."
)


@click.group()
def command() -> None:
    """The model's files: fetched once, checked, then used without a network."""


@command.command()
@_model
@_revision
def fetch(name: str, revision: str | None) -> None:
    """Fetch a model into the hub's cache; goes on where it broke off, checks every hash.

    HF_ENDPOINT names a mirror, HF_HUB_CACHE or HF_HOME another cache, HF_TOKEN who you are.
    """
    from dsk import console
    from dsk.hub import store
    from dsk.hub.fetch import fetch

    model = _known(name)
    wanted = revision or model.revision

    def heard(line: str) -> None:
        console.err().print(line, markup=False)

    record = fetch(model.hub, wanted, heard=heard)
    if record.commit != model.revision:
        console.warn(
            f"{model.hub} at {record.commit} is not the pinned revision {model.revision}: "
            f"run it with --model {model.hub}@{wanted}"
        )
    click.echo(str(store.snapshot(model.hub, record.commit)))


@command.command()
@_model
@_revision
@click.option("--hashes", is_flag=True, help="Read every file and compare its hash too.")
def status(name: str, revision: str | None, hashes: bool) -> None:
    """Whether a model is here whole; needs no network. Exit code 10 when it is not."""
    from dsk.hub import store

    model = _known(name)
    wanted = revision or model.revision
    commit = store.commit_of(model.hub, wanted)
    fetch = "dsk model fetch" + (f" --revision {revision}" if revision else "")
    record = store.recorded(model.hub, commit) if commit else None
    if commit is None or record is None:
        there = commit is not None and store.snapshot(model.hub, commit).is_dir()
        said = "was not fetched by dsk, nobody checked it" if there else "is not on this machine"
        what = f"{model.hub} at {wanted} {said}"
        raise VerificationFailed(what, do=fetch)
    faults = store.faults(record, hashes=hashes)
    for fault in faults:
        click.echo(fault)
    if faults:
        what = f"{model.hub} at {commit} is not whole: {len(faults)} files of {len(record.files)}"
        raise VerificationFailed(what, do=fetch)
    pinned = "pinned" if commit == model.revision else "NOT the pinned revision"
    checked = "now" if hashes else str(record.fetched)
    size = f"{len(record.files)} files, {record.size / 1e9:.2f} GB"
    click.echo(f"{model.hub} at {commit} ({pinned}): {size}, whole; hashes checked {checked}")
    click.echo(str(store.snapshot(model.hub, commit)))


def _known(name: str) -> Model:
    from dsk.matrix import load_matrix

    matrix = load_matrix()
    by_hub = {model.hub: model for model in matrix.models.values()}
    return by_hub.get(name) or matrix.model(name)
