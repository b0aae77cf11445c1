"""Checks of the model in the hub's cache and of the Python code published with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.version import Version

from dsk.doctor.check import CheckContext, CheckGroup, Verdict

if TYPE_CHECKING:
    from dsk.host.facts import Models, Snapshot

GROUP: Final = CheckGroup(position=60)
_SHOWN: Final = 3  # missing files
_FETCH: Final = "dsk model fetch"
# The last release of transformers that runs the model's code unpatched.
_LAST_UNPATCHED: Final = Version("4.47.1")


@GROUP.check("model", "Model", needs=("models",))
def weights(context: CheckContext) -> Verdict:
    """Check that the model's files are complete and of the revision that the matrix pins."""
    cached, model = context.facts.models, context.model
    assert cached
    if not cached.snapshots:
        summary = f"{cached.partial} downloads unfinished" if cached.partial else "not downloaded"
        detail = f"{model.weights_bytes / 1e9:.1f} GB from the hub; dsk demo works without it"
        return Verdict(status="warning", summary=summary, details=(detail,), commands=(_FETCH,))
    pinned = next((one for one in cached.snapshots if one.revision == model.revision), None)
    # Without the pinned revision, what `from_pretrained` would take: the one that main refers to.
    chosen = pinned or next((one for one in cached.snapshots if one.main), cached.snapshots[-1])
    if chosen.missing:
        return _incomplete(chosen, cached)
    if pinned is None and not model.revision:
        return Verdict(
            status="ok",
            summary=f"{model.name} {chosen.revision[:12]}, complete; no revision is pinned",
        )
    if pinned is None:
        details = (
            f"dsk was tried with {model.revision[:12]}; another may contain other code",
            "name it with --revision, or fetch the pinned one:",
        )
        summary = f"complete, but of revision {chosen.revision[:12]}, not of the pinned one"
        return Verdict(status="warning", summary=summary, details=details, commands=(_FETCH,))
    return Verdict(status="ok", summary=f"{model.name} {chosen.revision[:12]}, complete")


def _incomplete(chosen: Snapshot, cached: Models) -> Verdict:
    names = ", ".join(chosen.missing[:_SHOWN])
    rest = len(chosen.missing) - _SHOWN
    details = [f"missing or empty: {names}" + (f" and {rest} more" if rest > 0 else "")]
    if cached.partial:
        details.append(f"{cached.partial} downloads were started and not finished")
    details.append("the command continues where the last download stopped")
    summary = f"revision {chosen.revision[:12]} is incomplete"
    return Verdict(status="error", summary=summary, details=tuple(details), commands=(_FETCH,))


@GROUP.check("remote_code", "Its own code", needs=("models",))
def remote_code(context: CheckContext) -> Verdict:
    """Check that the model's code runs here; dsk patches it while loading, not on disk."""
    cached, here = context.facts.models, context.facts.python
    assert cached
    if cached.outdated:
        detail = f"{cached.outdated} files on disk were patched by another release of dsk"
        return Verdict(
            status="warning",
            summary="patched, but not by this dsk",
            details=(detail,),
            commands=("dsk patch apply",),
        )
    transformers = here.packages.get("transformers") if here else None
    if here and transformers and not here.patched and Version(transformers) > _LAST_UNPATCHED:
        details = (
            f"the transformers here, {transformers}, does not run the code as published;",
            "in dsk's own environments it is patched automatically",
        )
        return Verdict(
            status="warning",
            summary="not patched in this Python",
            details=details,
            commands=("dsk patch enable",),
        )
    if cached.patched:
        return Verdict(status="ok", summary=f"{cached.patched} files on disk patched by this dsk")
    return Verdict(status="ok", summary="as published; dsk patches it while loading")
