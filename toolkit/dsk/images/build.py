"""Building an image: `docker buildx build` as a subprocess, its steps shown, its log kept."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import paths, processes
from dsk.errors import BuildFailed, Interrupted, UsageProblem, VerificationFailed
from dsk.explain import explain_text, report
from dsk.images import command, secrets
from dsk.images.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsk.images.command import BuildRequest
    from dsk.matrix import Stack

    Heard = Callable[[str], None]

SELF_TEST: Final = "selftest"
IMAGE: Final = "image"

_LAST_WORDS: Final = 40  # lines


def image(request: BuildRequest, heard: Heard, *, containerd_store: bool, log: Path) -> str | None:
    """Test and build an image.

    The self-test, where the stack runs on a CPU, is a stage of its own on top of the image: what
    it leaves behind is in no layer.

    Args:
        request: what is wanted.
        heard: told of each step.
        containerd_store: the engine keeps images in containerd.
        log: takes all that buildx says.

    Returns:
        The digest, where buildx names one.

    Raises:
        BuildFailed: the build, or the self-test in it, said no.
        Interrupted: the user did.
    """
    # Beside the log: an image's archive is of several GiB, and /tmp is often RAM.
    place = tempfile.TemporaryDirectory(prefix="dsk-build-", dir=log.parent)
    with secrets.given() as handed, place as folder:
        if request.stack.device == "cpu":
            test = command.build(request, SELF_TEST, ["--output=type=cacheonly"], secrets=handed)
            _run(test, request.stack, heard, log)
        metadata, archive = Path(folder) / "metadata.json", Path(folder) / "image.tar"
        output = command.image(request, containerd_store=containerd_store, archive=archive)
        output = [f"--metadata-file={metadata}", *output]
        _run(command.build(request, IMAGE, output, secrets=handed), request.stack, heard, log)
        for step in command.load_or_push(request, archive):
            _run(step, request.stack, heard, log)
        return _digest(metadata)


def twice(request: BuildRequest, heard: Heard, *, log: Path) -> str:
    """Build twice from nothing and compare what comes out.

    Returns:
        The manifest's digest, the same both times.

    Raises:
        VerificationFailed: there are two digests.
        BuildFailed: a build said no.
        Interrupted: the user did.
    """
    digests: list[str | None] = []
    with secrets.given() as handed, tempfile.TemporaryDirectory(prefix="dsk-build-") as folder:
        for number in (1, 2):
            heard(f"build {number} of 2, without cache")
            metadata = Path(folder) / f"{number}.json"
            alone = command.compared(metadata)
            arguments = command.build(request, IMAGE, [], secrets=handed, more=alone)
            _run(arguments, request.stack, heard, log)
            digests.append(_digest(metadata))
    first, second = digests
    if first is None or first != second:
        what = f"two builds of the same sources differ: {first} and {second}"
        raise VerificationFailed(what, do=f"compare their layers; all that was said is in {log}")
    return first


def log_file(name: str) -> Path:
    """A new file in the user's cache for what buildx says.

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
        raise UsageProblem(what, do="set DSK_CACHE to a folder that can be") from error
    return file


def _digest(metadata: Path) -> str | None:
    try:
        found = json.loads(metadata.read_bytes()).get("containerimage.digest")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _run(arguments: Sequence[str], stack: Stack, heard: Heard, log: Path) -> None:
    steps, said = Steps(), []
    with log.open("a", encoding="utf-8") as sink:

        def line_heard(line: str | None) -> None:
            if line is None:
                return
            sink.write(line + "\n")
            sink.flush()
            said.append(line)
            if shown := steps.heard(line):
                heard(shown)

        code = processes.follow(arguments, line_heard)
    if code == Interrupted.exit_code:
        what = "the build was interrupted"
        raise Interrupted(what)
    if code != 0:
        for line in said[-_LAST_WORDS:]:
            heard(line)
        with io.BytesIO("\n".join(said).encode()) as stream:
            found = explain_text(stream, stack=stack.id, pins=stack.pins)
        sys.stderr.write(f"\n{report.as_text(found)}\n\n")
        what = f"{' '.join(itertools.takewhile(str.isalpha, arguments))} ended with {code}"
        raise BuildFailed(what, do=f"the lines above say why; all that was said is in {log}")
