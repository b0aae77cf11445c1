"""`dsk patch`: the model's remote code, right on every transformers."""

from __future__ import annotations

from pathlib import Path

import click

cache_option = click.option(
    "--cache",
    "chosen",
    type=click.Path(path_type=Path, file_okay=False),
    help="A hub cache, a modules cache or a model's folder. [default: where transformers looks]",
)


@click.group()
def command() -> None:
    """Make the model's remote code load and compute correctly on every transformers.

    enable and disable act on an environment: each of its Python processes patches the code as it
    loads it, and files are not changed. apply and revert change files in a cache, for environments
    that cannot be enabled. Nothing is ever downloaded.
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
def status(chosen: Path | None) -> None:
    """Show the state of the environment and of each file on disk."""
    from dsk.console import out
    from dsk.transformers_patch import caches, enablement

    out().print(f"patch: {enablement.probe().line}")
    for place in _places(chosen):
        files = caches.status(place)
        out().print(f"{place}: {caches.summary(files)}")
        for file in files:
            name = file.path.relative_to(place)
            out().print(f"  {file.state:8}  {file.sha256[:12]}  {name}")


@command.command()
@cache_option
def apply(chosen: Path | None) -> None:
    """Patch files on disk, each original kept beside its file."""
    from dsk.console import out, warn
    from dsk.transformers_patch import caches

    for place in _places(chosen):
        for file in caches.status(place):
            if file.state == "unknown":
                warn(f"{file.path} (sha256 {file.sha256}) is left as it is: its shape is not known")
        for file in caches.apply(place):
            out().print(f"patched: {file.path}")


@command.command()
@cache_option
def revert(chosen: Path | None) -> None:
    """Restore the original bytes of every patched file."""
    from dsk.console import out
    from dsk.transformers_patch import caches

    for place in _places(chosen):
        for path in caches.revert(place):
            out().print(f"reverted: {path}")


def _places(chosen: Path | None) -> list[Path]:
    from dsk.transformers_patch import caches

    return [chosen] if chosen else caches.default_caches()
