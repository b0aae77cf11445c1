"""The model in the hub's cache, and its own Python code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.version import Version

from dsk.doctor.check import CheckContext, CheckGroup, Verdict

if TYPE_CHECKING:
    from dsk.host.facts import Models, Snapshot

GROUP: Final = CheckGroup(position=60)
_LAST_THAT_FITS: Final = Version("4.47.1")


@GROUP.check("model", "Model", needs=("models",))
def weights(context: CheckContext) -> Verdict:
    """The model's files are whole, and of the revision that the matrix pins."""
    seen, model = context.facts.models, context.model
    assert seen
    fetch = "dsk model fetch"
    size = f"{model.weights_bytes / 1e9:.1f} GB"
    if not seen.snapshots:
        begun = f"{seen.partial} downloads were begun" if seen.partial else "not here yet"
        details: tuple[str, ...] = (f"{size} from the hub; dsk demo needs none of it",)
        return Verdict(status="warning", summary=begun, details=details, commands=(fetch,))
    pinned = next((one for one in seen.snapshots if one.revision == model.revision), None)
    chosen = pinned or next((one for one in seen.snapshots if one.main), seen.snapshots[-1])
    if chosen.missing:
        return _incomplete(chosen, seen, fetch)
    if pinned is None:
        details = (
            f"dsk was tried with {model.revision[:12]}; another may hold other code",
            "name it with --revision, or fetch the pinned one:",
        )
        summary = f"whole, of revision {chosen.revision[:12]}, which is not the pinned one"
        return Verdict(status="warning", summary=summary, details=details, commands=(fetch,))
    return Verdict(status="ok", summary=f"{model.name} {chosen.revision[:12]}, whole")


def _incomplete(chosen: Snapshot, seen: Models, fetch: str) -> Verdict:
    names = ", ".join(chosen.missing[:3])
    more = f" and {len(chosen.missing) - 3} more" if len(chosen.missing) > 3 else ""
    details = [f"missing or empty: {names}{more}"]
    if seen.partial:
        details.append(f"{seen.partial} downloads were begun and not ended")
    details.append("the command goes on where the last one stopped")
    summary = f"revision {chosen.revision[:12]} is not whole"
    return Verdict(status="error", summary=summary, details=tuple(details), commands=(fetch,))


@GROUP.check("remote_code", "Its own code", needs=("models",))
def remote_code(context: CheckContext) -> Verdict:
    """The model's own code: dsk patches it as it loads; on disk it may stay as published."""
    seen, here = context.facts.models, context.facts.python
    assert seen
    if seen.outdated:
        details: tuple[str, ...] = (
            f"{seen.outdated} files on disk were patched by another release of dsk",
        )
        return Verdict(
            status="warning",
            summary="patched, not by this dsk",
            details=details,
            commands=("dsk patch apply",),
        )
    transformers = here.packages.get("transformers") if here else None
    if here and transformers and not here.patched and Version(transformers) > _LAST_THAT_FITS:
        details = (
            f"the transformers here, {transformers}, does not run it as it is published;",
            "dsk's own environments are patched by themselves",
        )
        return Verdict(
            status="warning",
            summary="not patched in this Python",
            details=details,
            commands=("dsk patch enable",),
        )
    if seen.patched:
        return Verdict(status="ok", summary=f"{seen.patched} files on disk patched by this dsk")
    return Verdict(status="ok", summary="as published; dsk patches it as it loads")
