"""The hook on transformers' loading of remote code: two functions wrapped, nothing else touched.

``get_cached_module_file`` says where a repository's module lies and ``get_class_in_module`` imports
it. Everything that loads remote code goes through the two, whatever it is called with: a remote id,
a local folder, a module that is cached already. This module is imported by every interpreter of an
enabled environment, so it imports next to nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing is not imported yet when an interpreter starts
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

TARGET = "transformers.dynamic_module_utils"


def install() -> bool:
    """Wrap transformers' two functions now, or as soon as transformers is imported.

    Returns:
        False when ``DSK_NO_PATCH`` says no, True otherwise. Calling it again changes nothing.
    """
    if os.environ.get("DSK_NO_PATCH", "0") not in ("", "0"):
        return False
    if loaded := sys.modules.get(TARGET):
        wrap(loaded)
    elif not any(isinstance(finder, Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, Waiting())
    return True


def active() -> bool:
    """Whether this process's transformers is wrapped, or will be when it is imported."""
    loaded = sys.modules.get(TARGET)
    return hasattr(loaded, "__dsk_patch__") or any(isinstance(f, Waiting) for f in sys.meta_path)


class Waiting:
    """A finder that finds nothing itself: it waits for `TARGET` to be imported and wraps it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for every other module; for `TARGET` its own spec, with a loader that wraps it."""
        if fullname != TARGET:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        from importlib.util import find_spec

        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            wrap(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def wrap(dynamic: ModuleType) -> None:
    """Replace the two functions of transformers' ``dynamic_module_utils``, once."""
    if hasattr(dynamic, "__dsk_patch__"):
        return
    cached_file: Callable[..., str] = dynamic.get_cached_module_file
    class_in_module: Callable[..., type] = dynamic.get_class_in_module

    def get_cached_module_file(*args: Any, **kwargs: Any) -> str:
        from dsk.transformers_patch import serve

        served = serve.module_file(dynamic, cached_file, args, kwargs)
        return cached_file(*args, **kwargs) if served is None else served

    def get_class_in_module(class_name: str, module_path: Any, **kwargs: Any) -> type:
        from dsk.transformers_patch import serve

        name = serve.module_name(module_path)
        if name is None:
            return class_in_module(class_name, module_path, **kwargs)
        return serve.import_class(dynamic, name, class_name)

    get_cached_module_file.__wrapped__ = cached_file  # type: ignore[attr-defined]
    get_class_in_module.__wrapped__ = class_in_module  # type: ignore[attr-defined]
    dynamic.get_cached_module_file = get_cached_module_file  # type: ignore[attr-defined]
    dynamic.get_class_in_module = get_class_in_module  # type: ignore[attr-defined]
    dynamic.__dsk_patch__ = True  # type: ignore[attr-defined]
