"""`dsk patch`: patch the model's remote code for every transformers."""

from __future__ import annotations

from pathlib import Path

import click

cache_option = click.option(
    "--cache",
    "cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="A hub cache, a modules cache or a model's folder. [default: transformers' caches]",
)


@click.group()
def command() -> None:
    """Make the model's remote code load and compute correctly on every transformers.

    enable and disable act on an environment: each of its Python processes then patches the code
    while loading it, and changes no files. apply and revert change files in a cache, for
    environments in which enable is not possible. Nothing is downloaded.
    """


@command.command()
def enable() -> None:
    """Patch remote code in every Python process of this environment."""
    from dsk.console import out
    from dsk.transformers_patch import enablement

    out().print(f"enabled: {enablement.enable()}")


@command.command()
def disable() -> None:
    """Stop patching remote code in this environment."""
    from dsk.console import out
    from dsk.transformers_patch import enablement

    out().print("disabled" if enablement.disable() else "it was not enabled")


@command.command()
@cache_option
def status(cache: Path | None) -> None:
    """Show what is patched and proved, here and in each file on disk."""
    from dsk.console import out
    from dsk.transformers_patch import caches, enablement

    out().print(f"patch: {enablement.probe().line}")
    for line in _proof():
        out().print(line)
    published = _published()
    for folder in _folders(cache):
        files = caches.status(folder)
        out().print(f"{folder}: {caches.summary(files)}")
        for file in files:
            name = file.path.relative_to(folder)
            models = ", ".join(published.get((file.path.name, file.sha256), ()))
            known = f"  as published: {models}" if models else ""
            out().print(f"  {file.state:8}  {file.sha256[:12]}  {name}{known}")


@command.command()
@cache_option
def apply(cache: Path | None) -> None:
    """Patch files on disk and keep each original beside its file."""
    from dsk.console import out, warn
    from dsk.transformers_patch import caches

    for folder in _folders(cache):
        # Before patching: the user should know of these files even if a later one fails.
        for file in caches.status(folder):
            if file.state == "unknown":
                warn(
                    f"{file.path} (sha256 {file.sha256}) is not patched: its code is unknown to dsk"
                )
        for file in caches.apply(folder):
            out().print(f"patched: {file.path}")


@command.command()
@cache_option
def revert(cache: Path | None) -> None:
    """Restore the original bytes of every patched file."""
    from dsk.console import out
    from dsk.transformers_patch import caches

    for folder in _folders(cache):
        for path in caches.revert(folder):
            out().print(f"reverted: {path}")


def _folders(cache: Path | None) -> list[Path]:
    from dsk.transformers_patch import caches

    return [cache] if cache else caches.default_caches()


def _proof() -> list[str]:
    """Return a line for each known model, and one for this environment's transformers."""
    from contextlib import suppress
    from importlib import metadata

    from dsk import models
    from dsk.transformers_patch import proof

    proved = proof.proved()
    lines = []
    for profile in models.profiles().values():
        code = ", ".join(name for name in profile.record.files if name.endswith(".py"))
        releases = proved.get(profile.id, ())
        tried = f"{releases[0]} to {releases[-1]}, {len(releases)} releases" if releases else "none"
        lines.append(f"{profile.hub} ({code}): proved with transformers {tried}")
    # Without transformers the line about the environment says so.
    with suppress(metadata.PackageNotFoundError):
        lines.append(proof.standing(metadata.version("transformers")))
    return lines


def _published() -> dict[tuple[str, str], list[str]]:
    """Return the models whose published revision has a file, by the file's name and sha256."""
    from dsk import models

    published: dict[tuple[str, str], list[str]] = {}
    for profile in models.profiles().values():
        for name, pin in profile.record.files.items():
            if pin.sha256:
                published.setdefault((name, pin.sha256), []).append(profile.hub)
    return published
