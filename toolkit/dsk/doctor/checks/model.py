"""Checks of the model in the hub's cache and of the Python code published with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from packaging.version import Version

from dsk import models
from dsk.doctor.check import CheckContext, CheckGroup, Verdict
from dsk.host.facts import CachedModel
from dsk.models.reference import fetch_command

if TYPE_CHECKING:
    from dsk.host.facts import Snapshot
    from dsk.matrix import Model

GROUP: Final = CheckGroup(position=60)
_SHOWN: Final = 3  # missing files
# The last release of transformers that runs the model's code unpatched.
_LAST_UNPATCHED: Final = Version("4.47.1")


@GROUP.check("model", "Model", needs=("models",))
def weights(context: CheckContext) -> Verdict:
    """Check that the model's files are complete and of the revision that the matrix pins."""
    cached, model, fetch = _cached(context), context.model, fetch_command(context.model.id)
    others = _others(context)
    also = f"; also here: {', '.join(others.values())}" if others else ""
    if not cached.snapshots:
        state = f"{cached.partial} downloads unfinished" if cached.partial else "not downloaded"
        lines = [f"{model.weights_bytes / 1e9:.1f} GB from the hub; dsk demo works without it"]
        lines += [f"{name} is here: --model {other}" for other, name in others.items()]
        return Verdict(
            status="warning",
            summary=f"{model.name}: {state}",
            details=tuple(lines),
            commands=(fetch,),
        )
    pinned = next((one for one in cached.snapshots if one.revision == model.revision), None)
    # Without the pinned revision, what `from_pretrained` would take: the one that main refers to.
    chosen = pinned or next((one for one in cached.snapshots if one.main), cached.snapshots[-1])
    if chosen.missing:
        return _incomplete(chosen, cached, model)
    if pinned is None and not model.revision:
        return Verdict(
            status="ok",
            summary=f"{model.name} {chosen.revision[:12]}, complete; no revision is pinned{also}",
        )
    if pinned is None:
        details = (
            f"dsk was tried with {model.revision[:12]}; another may contain other code",
            f"name it as --model {model.id}@REVISION, or fetch the pinned one:",
        )
        state = f"complete, but of revision {chosen.revision[:12]}, not of the pinned one"
        summary = f"{model.name}: {state}"
        return Verdict(status="warning", summary=summary, details=details, commands=(fetch,))
    return Verdict(status="ok", summary=f"{model.name} {chosen.revision[:12]}, complete{also}")


def _cached(context: CheckContext) -> CachedModel:
    """Return the state of the model that is asked about."""
    cached = context.facts.models
    assert cached
    if context.model.id == models.default().id:
        return cached
    return cached.others.get(context.model.id, CachedModel())


def _others(context: CheckContext) -> dict[str, str]:
    """Return the names of the other models that are complete at their pinned revision, by id."""
    return {
        model.id: model.name
        for model in models.profiles().values()
        if model.id != context.model.id
        for snapshot in _cached(replace(context, model=model.record)).snapshots
        if snapshot.revision == model.record.revision and not snapshot.missing
    }


def _incomplete(chosen: Snapshot, cached: CachedModel, model: Model) -> Verdict:
    names = ", ".join(chosen.missing[:_SHOWN])
    rest = len(chosen.missing) - _SHOWN
    details = [f"missing or empty: {names}" + (f" and {rest} more" if rest > 0 else "")]
    if cached.partial:
        details.append(f"{cached.partial} downloads were started and not finished")
    details.append("the command continues where the last download stopped")
    summary = f"{model.name}: revision {chosen.revision[:12]} is incomplete"
    fetch = fetch_command(model.id)
    return Verdict(status="error", summary=summary, details=tuple(details), commands=(fetch,))


@GROUP.check("remote_code", "Its own code", needs=("models",))
def remote_code(context: CheckContext) -> Verdict:
    """Check that the model's code runs here; dsk patches it while loading, not on disk."""
    cached, here = _cached(context), context.facts.python
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
