"""Checks of the models in the hub's cache: the one that is asked about, and the others."""

from dsk import models
from dsk.doctor.check import CheckContext
from dsk.doctor.checks.model import remote_code, weights
from dsk.host.facts import CachedModel, Facts, Models, Snapshot
from dsk.matrix import load_matrix

FIRST, SECOND = list(models.profiles().values())[:2]


def context(model: models.base.ModelProfile, facts: Models) -> CheckContext:
    return CheckContext(
        facts=Facts(models=facts),
        stack=load_matrix().stack("cpu"),
        lock_sha256="",
        model=model.record,
    )


def complete(model: models.base.ModelProfile) -> CachedModel:
    return CachedModel(snapshots=(Snapshot(revision=model.record.revision, main=True),))


def test_a_model_that_is_missing_is_named_with_the_command_that_fetches_it() -> None:
    for model in models.profiles().values():
        verdict = weights(context(model, Models()))
        assert (verdict.status, verdict.summary) == ("warning", f"{model.name}: not downloaded")
        named = "" if model is models.default() else f" --model {model.id}"
        assert verdict.commands == (f"dsk model fetch{named}",)


def test_the_model_that_is_asked_about_is_looked_at() -> None:
    facts = Models(others={SECOND.id: complete(SECOND)})
    verdict = weights(context(SECOND, facts))
    assert verdict.status == "ok"
    assert verdict.summary == f"{SECOND.name} {SECOND.record.revision[:12]}, complete"
    missing = weights(context(FIRST, facts))
    assert missing.status == "warning"
    assert f"{SECOND.name} is here: --model {SECOND.id}" in missing.details


def test_other_models_that_are_here_are_named() -> None:
    facts = Models(**dict(complete(FIRST)), others={SECOND.id: complete(SECOND)})
    assert weights(context(FIRST, facts)).summary.endswith(f"complete; also here: {SECOND.name}")
    broken = complete(SECOND).model_copy(
        update={"snapshots": (Snapshot(revision="a" * 40, main=True),)}
    )
    alone = Models(**dict(complete(FIRST)), others={SECOND.id: broken})
    assert weights(context(FIRST, alone)).summary.endswith(", complete")


def test_an_incomplete_or_another_revision_is_told_with_the_model() -> None:
    lacking = Snapshot(revision=SECOND.record.revision, main=True, missing=("config.json",))
    verdict = weights(
        context(SECOND, Models(others={SECOND.id: CachedModel(snapshots=(lacking,))}))
    )
    assert verdict.status == "error"
    assert verdict.summary.startswith(f"{SECOND.name}: revision ")
    assert verdict.commands == (f"dsk model fetch --model {SECOND.id}",)
    other = CachedModel(snapshots=(Snapshot(revision="a" * 40, main=True),))
    verdict = weights(context(SECOND, Models(others={SECOND.id: other})))
    assert verdict.status == "warning"
    assert f"--model {SECOND.id}@REVISION" in verdict.details[1]


def test_code_on_disk_is_that_of_the_model() -> None:
    facts = Models(others={SECOND.id: CachedModel(outdated=2)})
    assert remote_code(context(FIRST, facts)).status == "ok"
    assert remote_code(context(SECOND, facts)).status == "warning"
