"""Facts about the models that the help of options shows; loaded when help is printed."""

from __future__ import annotations

import functools


@functools.cache
def model_facts() -> dict[str, str]:
    """Return the values of the placeholders in help texts."""
    from dsk import models

    default, known = models.default(), models.profiles().values()
    # Names are listed once, in the order of the first model that has them.
    prompts = dict.fromkeys(name for model in known for name in model.record.prompts)
    return {
        "id": default.id,
        "ids": ", ".join(model.id for model in known),
        "prompts": ", ".join(prompts),
        "attempts": str(max_attempts()),
    }


def max_attempts() -> int:
    """Return the most attempts at a page that any model has retry steps for."""
    from dsk import models

    return max(len(model.record.retry_steps) for model in models.profiles().values())
