"""The profile of a checkpoint, by what its ``config.json`` says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsk import models
from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dsk.models.base import ModelProfile


def profile_of(configuration: Mapping[str, Any]) -> ModelProfile:
    """Return the profile by the architectures or, where there are none, by all else that differs.

    Args:
        configuration: the whole of ``config.json``.

    Raises:
        UsageProblem: it names another architecture, or fits no profile, or several.
    """
    if names := _list(configuration, "architectures"):
        return models.find_architecture(names) or models.for_architecture(names[0])
    # The hub's auto_map names classes as module.Class.
    classes = [str(name).rpartition(".")[2] for name in _table(configuration, "auto_map").values()]
    if profile := models.find_architecture(classes):
        return profile
    fitting = [
        profile
        for profile in models.profiles().values()
        if all(found == expected for found, expected in _evidence(configuration, profile))
    ]
    if len(fitting) == 1:
        return fitting[0]
    known = [f'["{each.record.architecture}"] ({each.id})' for each in models.profiles().values()]
    fits = " and ".join(profile.id for profile in fitting) or "none"
    what = f"its config.json names no architecture and fits {fits}"
    raise UsageProblem(what, do=f'add "architectures" to it, one of {", ".join(known)}')


def _evidence(
    configuration: Mapping[str, Any], profile: ModelProfile
) -> Iterator[tuple[object, object]]:
    """Yield each value that tells models apart, if it is there, with the profile's own."""
    record = profile.record
    encoders = _table(_table(configuration, "vision_config"), "width")
    clip, qwen2 = (any(str(key).startswith(kind) for key in encoders) for kind in ("clip", "qwen2"))
    if clip or qwen2:
        yield (clip, qwen2), (bool(record.vision.clip), bool(record.vision.qwen2))
    language = _table(configuration, "language_config") or configuration
    found = (
        (configuration.get("model_type"), record.model_type),
        (_table(configuration, "projector_config").get("input_dim"), record.vision.features),
        (language.get("max_position_embeddings"), record.language.max_positions),
        (language.get("rswa_window"), record.language.rswa_window),
    )
    yield from (pair for pair in found if pair[0] is not None)


def _table(configuration: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = configuration.get(key)
    return value if isinstance(value, dict) else {}


def _list(configuration: Mapping[str, Any], key: str) -> list[str]:
    value = configuration.get(key)
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else []
