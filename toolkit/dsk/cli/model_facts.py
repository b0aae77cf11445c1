"""Facts about the models that the help of options shows; loaded when help is printed."""

from __future__ import annotations

import functools


@functools.cache
def model_facts() -> dict[str, str]:
    """Return the values of the placeholders in help texts, of the default model."""
    from dsk import models

    model = models.default()
    guard = model.record.guards.default
    return {
        "id": model.id,
        "model": model.hub,
        "prompts": ", ".join(model.record.prompts),
        "resolution": model.default_resolution.name,
        "guard": f"{guard.size}, {guard.window}",
        "attempts": str(max_attempts()),
    }


def max_attempts() -> int:
    """Return the most attempts at a page that any model has retry steps for."""
    from dsk import models

    return max(len(model.record.retry_steps) for model in models.profiles().values())
