"""Building an image: runs the commands, reports their steps, keeps the log."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import console, paths, processes, urls
from dsk.errors import BuildFailed, Interrupted, UsageProblem, VerificationFailed
from dsk.explain import explain_text
from dsk.explain import report as explain_report
from dsk.images import command, secrets
from dsk.images.steps import Steps, base_image
from dsk.locks.inventory import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsk.images.command import BuildRequest
    from dsk.locks.inventory import Inventory
    from dsk.matrix import Stack

    Report = Callable[[str], None]

_LAST_LINES: Final = 40


def image(
    request: BuildRequest, report: Report, *, containerd_store: bool, log: Path
) -> str | None:
    """Test and build an image.

    Args:
        request: the image.
        report: called with each step that has ended.
        containerd_store: the engine keeps images in containerd.
        log: the file for buildx's whole output.

    Returns:
        The digest, if buildx gives one.

    Raises:
        BuildFailed: the build, or the self-test in it, failed.
        Interrupted: the user stopped it.
    """
    # Beside the log: an image's archive has several GiB, and /tmp is often in RAM.
    temporary = tempfile.TemporaryDirectory(prefix="dsk-build-", dir=log.parent)
    with secrets.options() as secret_options, temporary as folder:
        metadata = Path(folder) / "metadata.json"
        for arguments in command.image_commands(
            request,
            containerd_store=containerd_store,
            archive=Path(folder) / "image.tar",
            metadata=metadata,
            secrets=secret_options,
        ):
            _run(arguments, request.stack, report, log)
        return _digest(metadata)


def twice(request: BuildRequest, report: Report, *, log: Path) -> str:
    """Build twice without cache and compare the digests.

    Returns:
        The manifest's digest, the same both times.

    Raises:
        VerificationFailed: the digests differ.
        BuildFailed: a build failed.
        Interrupted: the user stopped it.
    """
    temporary = tempfile.TemporaryDirectory(prefix="dsk-build-")
    with secrets.options() as secret_options, temporary as folder:
        metadata = [Path(folder) / name for name in ("1.json", "2.json")]
        commands = command.comparison_commands(request, metadata=metadata, secrets=secret_options)
        for number, arguments in enumerate(commands, 1):
            report(f"build {number} of 2, without cache")
            _run(arguments, request.stack, report, log)
        first, second = map(_digest, metadata)
    if first is None or first != second:
        what = f"two builds of the same sources differ: {first} and {second}"
        raise VerificationFailed(what, do=f"compare their layers; the full output is in {log}")
    return first


def inventory(request: BuildRequest, report: Report, *, log: Path) -> Inventory:
    """Return the packages of an image that was built just now.

    Raises:
        BuildFailed: the step failed, or it lists something else.
        Interrupted: the user stopped it.
    """
    with secrets.options() as secret_options, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = command.inventory_command(request, folder=folder, secrets=secret_options)
        _run(arguments, request.stack, report, log)
        try:
            text = (folder / "inventory.json").read_text("utf-8")
        except OSError as error:
            what = "buildx wrote no inventory"
            raise BuildFailed(what, do=f"the full output is in {log}") from error
    return parse(text)


def bases(log: Path) -> list[str]:
    """Return the images that a build started from, each with the digest that BuildKit resolved."""
    with log.open(encoding="utf-8") as lines:
        return sorted({base for line in lines if (base := base_image(line.rstrip("\n")))})


def log_file(name: str) -> Path:
    """Create a file in the user's cache for buildx's output.

    Raises:
        UsageProblem: the cache cannot be written to.
    """
    now = dt.datetime.now(dt.UTC)
    file = paths.cache() / "builds" / f"{name}-{now:%Y%m%d-%H%M%S}.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        what = f"{file} cannot be written ({error.strerror})"
        raise UsageProblem(what, do="set DSK_CACHE to a writable folder") from error
    return file


def _digest(metadata: Path) -> str | None:
    try:
        digest = json.loads(metadata.read_bytes()).get("containerimage.digest")
    except (OSError, ValueError):
        return None
    return digest if isinstance(digest, str) else None


def _run(arguments: Sequence[str], stack: Stack, report: Report, log: Path) -> None:
    steps, output = Steps(), []
    with log.open("a", encoding="utf-8") as sink:

        def on_line(line: str | None) -> None:
            if line is None:
                return
            line = urls.masked(line)
            sink.write(line + "\n")
            # A user may follow the log while a step of half an hour runs.
            sink.flush()
            output.append(line)
            if step := steps.on_line(line):
                report(step)

        code = processes.follow(arguments, on_line)
    if code == Interrupted.exit_code:
        what = "the build was interrupted"
        raise Interrupted(what)
    if code != 0:
        for line in output[-_LAST_LINES:]:
            report(line)
        # A build fails as engines do, so the rules of dsk explain apply to its output.
        with io.BytesIO("\n".join(output).encode()) as stream:
            explanation = explain_text(stream, stack=stack.id, pins=stack.pins)
        console.echo(f"\n{explain_report.as_text(explanation)}\n", err=True)
        what = f"{' '.join(itertools.takewhile(str.isalpha, arguments))} ended with {code}"
        raise BuildFailed(what, do=f"the lines above show why; the full output is in {log}")
