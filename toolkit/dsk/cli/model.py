"""`dsk model`: list the models, fetch one at its pinned revision, and check its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import UsageProblem, VerificationFailed

if TYPE_CHECKING:
    from dsk.models.reference import ModelReference

_revision = click.option(
    "--revision",
    metavar="R",
    help="Override the pinned revision: a commit, branch or tag. MODEL@R is the same.",
)


@click.group()
def command() -> None:
    """List models, fetch one and check its files; after that no network is needed."""


@command.command("list")
def list_() -> None:
    """List the models, their names, and whether they are on this machine."""
    from rich.table import Table

    from dsk import models
    from dsk.hub import store

    table = Table("model", "hub id", "also", "revision", "here", box=None)
    for model in models.profiles().values():
        record = model.record
        commit = store.commit_of(record.hub, record.reference)
        is_here = commit is not None and store.snapshot(record.hub, commit).is_dir()
        revision, also = record.revision[:12] or record.reference, ", ".join(record.aliases)
        table.add_row(record.id, record.hub, also, revision, "yes" if is_here else "no")
    console.out().print(table)


@command.command()
@model_option(f"Model to fetch: {NAMES}, where @REVISION may follow.")
@_revision
@click.option(
    "--record",
    is_flag=True,
    help="Write commit, sizes and hashes of what was fetched into models.toml, for maintainers.",
)
def fetch(model: str | None, revision: str | None, record: bool) -> None:
    """Fetch a model into the hub's cache.

    An interrupted download is resumed. Every file is checked: against the hash that the matrix pins
    or, where it pins none, against the hub's own list. Environment variables: HF_ENDPOINT (a
    mirror), HF_HUB_CACHE or HF_HOME (the cache folder), HF_TOKEN (your account).
    """
    from dsk.hub import store
    from dsk.hub.fetch import fetch

    reference = _named(model, revision)
    if reference.folder:
        what = f"{reference} is a folder on this machine, so there is nothing to fetch"
        raise UsageProblem(what, do=f"name {reference.profile.hub} for the published model")
    hub, pinned = reference.profile.hub, reference.profile.record
    if record and not reference.is_pinned:
        what = "--record is for the pinned revision"
        raise UsageProblem(what, do="leave the revision out, or pin it in models.toml first")

    def report(line: str) -> None:
        console.err().print(line, markup=False)

    pins = pinned.files if reference.is_pinned else None
    fetched = fetch(hub, reference.revision, pins=pins, report=report)
    # Evidence is of the pinned revision, and says nothing about others.
    if not reference.is_pinned and fetched.commit != pinned.revision:
        console.warn(
            f"{hub} at {fetched.commit} is not the pinned revision {pinned.reference}: "
            "its files were checked against the hub's own list alone; "
            f"to run it, use --model {reference}"
        )
    elif not pinned.revision and not record:
        console.warn(
            f"models.toml pins no revision of {hub}: {fetched.commit} is what the hub's "
            f"{pinned.reference} is now; --record pins it"
        )
    elif unknown := [path for path, pin in pinned.files.items() if pin.sha256 is None]:
        console.warn(
            f"models.toml pins no hash of {', '.join(unknown)}: they are what the hub listed for "
            "the pinned commit, and later fetches have to bring the same"
        )
    if record:
        from dsk import paths
        from dsk.matrix import pin_file

        pin_file.record(
            paths.compat() / "models.toml",
            pinned.id,
            fetched.commit,
            {file.path: (file.size, file.sha256) for file in fetched.files},
        )
    console.echo(str(store.snapshot(hub, fetched.commit)))


@command.command()
@model_option(f"Model to check: {NAMES}, where @REVISION may follow, or a folder.")
@_revision
@click.option("--hashes", is_flag=True, help="Also read every file and check its hash.")
def status(model: str | None, revision: str | None, hashes: bool) -> None:
    """Check that a model is complete on this machine.

    Needs no network. Exit code 10 if files are missing or damaged. Of a folder of your own no
    hashes are known: it is checked for its configuration and all of its weights.
    """
    from dsk.hub import store

    reference = _named(model, revision)
    if reference.folder:
        if hashes:
            what = f"no hashes are known of {reference}, which is a folder of your own"
            raise UsageProblem(what, do="leave --hashes out")
        console.echo(f"{reference.locate()}: {reference.profile.name}, complete")
        return
    hub, pinned, wanted = reference.profile.hub, reference.profile.record, reference.revision
    commit = store.commit_of(hub, wanted)
    # The record says that the model is complete: another program may have fetched a part of it.
    record = store.recorded(hub, commit) if commit else None
    if commit is None or record is None:
        present = commit is not None and store.snapshot(hub, commit).is_dir()
        state = "was not fetched by dsk, so its files are unchecked"
        what = f"{hub} at {wanted} {state if present else 'is not on this machine'}"
        raise VerificationFailed(what, do=reference.fetch_command)
    faults = store.faults(record, hashes=hashes)
    if commit == pinned.revision:
        faults += store.pin_faults(store.snapshot(hub, commit), pinned.files)
    for fault in faults:
        console.echo(fault)
    if faults:
        count = f"{len(faults)} of {len(record.files)} files"
        what = f"{hub} at {commit} is incomplete or damaged: {count}"
        raise VerificationFailed(what, do=reference.fetch_command)
    state = "pinned" if commit == pinned.revision else "NOT the pinned revision"
    if not pinned.revision:
        state = "models.toml pins no revision"
    checked = "now" if hashes else str(record.fetched)
    size = f"{len(record.files)} files, {record.size / 1e9:.2f} GB"
    console.echo(f"{hub} at {commit} ({state}): {size}, complete; hashes checked {checked}")
    console.echo(str(store.snapshot(hub, commit)))


def _named(name: str | None, revision: str | None) -> ModelReference:
    """Return the model that the options name, the revision in either of two places."""
    from dsk import models
    from dsk.models.reference import resolve

    if revision is None:
        return resolve(name)
    if name and "@" in name:
        what = f"{name} and --revision {revision} both name a revision"
        raise UsageProblem(what, do="leave one of them out")
    return resolve(f"{name or models.default().id}@{revision}")
