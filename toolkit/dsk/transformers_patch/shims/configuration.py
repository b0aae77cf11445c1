"""Base class of the model's configurations, as in transformers 4.46.3."""

from __future__ import annotations

import dataclasses
from typing import Any

from transformers import configuration_utils


class PretrainedConfig(configuration_utils.PretrainedConfig):
    """Base class whose subclasses without an ``__init__`` inherit their parent's."""

    # From 5.5 on configurations are data classes: one without an ``__init__`` is given one that
    # lacks the defaults that its parent's ``__init__`` sets.

    def __init_subclass__(cls, **kwargs: Any) -> None:
        data_class = dataclasses.is_dataclass(configuration_utils.PretrainedConfig)
        if data_class and "__init__" not in cls.__dict__:

            def as_parent(self: Any, *args: Any, **options: Any) -> None:
                super(cls, self).__init__(*args, **options)

            cls.__init__ = as_parent  # type: ignore[method-assign]
        super().__init_subclass__(**kwargs)
