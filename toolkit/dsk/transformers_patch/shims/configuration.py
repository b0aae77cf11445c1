"""Base class of the model's configurations, as in transformers 4.46.3."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from transformers import configuration_utils

# Attribute of a configuration that was loaded with a dtype.
ASKED_DTYPE: Final = "_dsk_asked_dtype"


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

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a configuration, and keep the dtype that the caller asked for beside it."""
        # `AutoModel` of 5.5 gives it to the configuration alone, where it cannot be told from the
        # dtype that the file names, which 4.46.3 does not load in.
        asked = kwargs.get("dtype") or kwargs.get("torch_dtype")
        made = super().from_dict(config_dict, **kwargs)
        if asked is not None:
            config = made[0] if isinstance(made, tuple) else made
            config.__dict__[ASKED_DTYPE] = asked
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return what is saved: all but the dtype that `from_dict` keeps."""
        saved: dict[str, Any] = super().to_dict()
        saved.pop(ASKED_DTYPE, None)
        return saved
