"""`dsk model`: fetch a model at its pinned revision, and check its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.model_facts import model_facts
from dsk.cli.sections import SectionOption
from dsk.errors import UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from dsk.matrix import Model

_model = click.option(
    "--model",
    "name",
    cls=SectionOption,
    show_default="{id}",
    facts=model_facts,
    help="A model of the matrix, by its id, hub id or name.",
)
_revision = click.option(
    "--revision", metavar="R", help="Override the pinned revision: a commit, branch or tag."
)


@click.group()
def command() -> None:
    """Fetch and check a model's files; after that no network is needed."""


@command.command()
@_model
@_revision
@click.option(
    "--record",
    is_flag=True,
    help="Write commit, sizes and hashes of what was fetched into models.toml, for maintainers.",
)
def fetch(name: str | None, revision: str | None, record: bool) -> None:
    """Fetch a model into the hub's cache.

    An interrupted download is resumed. Every file is checked: against the hash that the matrix pins
    or, where it pins none, against the hub's own list. Environment variables: HF_ENDPOINT (a
    mirror), HF_HUB_CACHE or HF_HOME (the cache folder), HF_TOKEN (your account).
    """
    from dsk.hub import store
    from dsk.hub.fetch import fetch

    model = _known(name)
    wanted = revision or model.reference

    is_pinned = wanted == model.reference
    if record and not is_pinned:
        what = "--record is for the pinned revision"
        raise UsageProblem(what, do="leave --revision out, or pin it in models.toml first")

    def report(line: str) -> None:
        console.err().print(line, markup=False)

    fetched = fetch(model.hub, wanted, pins=model.files if is_pinned else None, report=report)
    # Evidence is of the pinned revision, and says nothing about others.
    if not is_pinned:
        console.warn(
            f"{model.hub} at {fetched.commit} is not the pinned revision {model.reference}: "
            "its files were checked against the hub's own list alone; "
            f"to run it, use --model {model.hub}@{wanted}"
        )
    elif not model.revision and not record:
        console.warn(
            f"models.toml pins no revision of {model.hub}: {fetched.commit} is what the hub's "
            f"{wanted} is now; --record pins it"
        )
    elif unknown := [path for path, pin in model.files.items() if pin.sha256 is None]:
        console.warn(
            f"models.toml pins no hash of {', '.join(unknown)}: they are what the hub listed for "
            "the pinned commit, and later fetches have to bring the same"
        )
    if record:
        from dsk import paths
        from dsk.matrix import pin_file

        pin_file.record(
            paths.compat() / "models.toml",
            model.id,
            fetched.commit,
            {file.path: (file.size, file.sha256) for file in fetched.files},
        )
    console.echo(str(store.snapshot(model.hub, fetched.commit)))


@command.command()
@_model
@_revision
@click.option("--hashes", is_flag=True, help="Also read every file and check its hash.")
def status(name: str | None, revision: str | None, hashes: bool) -> None:
    """Check that a model is complete on this machine.

    Needs no network. Exit code 10 if files are missing or damaged.
    """
    from dsk.hub import store

    model = _known(name)
    wanted = revision or model.reference
    commit = store.commit_of(model.hub, wanted)
    fetch = "dsk model fetch" + (f" --revision {revision}" if revision else "")
    # The record says that the model is complete: another program may have fetched a part of it.
    record = store.recorded(model.hub, commit) if commit else None
    if commit is None or record is None:
        present = commit is not None and store.snapshot(model.hub, commit).is_dir()
        state = "was not fetched by dsk, so its files are unchecked"
        what = f"{model.hub} at {wanted} {state if present else 'is not on this machine'}"
        raise VerificationFailed(what, do=fetch)
    faults = store.faults(record, hashes=hashes)
    if commit == model.revision:
        faults += store.pin_faults(store.snapshot(model.hub, commit), model.files)
    for fault in faults:
        console.echo(fault)
    if faults:
        count = f"{len(faults)} of {len(record.files)} files"
        what = f"{model.hub} at {commit} is incomplete or damaged: {count}"
        raise VerificationFailed(what, do=fetch)
    pinned = "pinned" if commit == model.revision else "NOT the pinned revision"
    if not model.revision:
        pinned = "models.toml pins no revision"
    checked = "now" if hashes else str(record.fetched)
    size = f"{len(record.files)} files, {record.size / 1e9:.2f} GB"
    console.echo(f"{model.hub} at {commit} ({pinned}): {size}, complete; hashes checked {checked}")
    console.echo(str(store.snapshot(model.hub, commit)))


def _known(name: str | None) -> Model:
    from dsk import models

    return (models.by_name(name) if name else models.default()).record
