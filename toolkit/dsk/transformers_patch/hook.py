"""Hook on the functions of transformers that load remote code and tokenizers.

``get_cached_module_file`` returns the path of a repository's module and ``get_class_in_module``
imports it. All loading of remote code goes through the two, whether it is called with a remote id,
a local folder or a cached module. ``custom_object_save`` writes the code beside a saved model: with
the hook it is the original code, not the patched one.

Every interpreter of an enabled environment imports this module, so it imports next to nothing.
"""

from __future__ import annotations

import sys

from dsk.transformers_patch.switch import switched_off

TYPE_CHECKING = False  # typing is not imported yet when an interpreter starts
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

REMOTE_CODE = "transformers.dynamic_module_utils"
TOKENIZERS = "transformers.models.auto.tokenization_auto"


def install() -> bool:
    """Wrap transformers' functions now, or as soon as transformers is imported.

    Returns:
        False if ``DSK_NO_PATCH`` forbids it, True otherwise. Calling it again changes nothing.
    """
    if switched_off():
        return False
    for name, wrap in WRAPS.items():
        if loaded := sys.modules.get(name):
            wrap(loaded)
    if not active():
        sys.meta_path.insert(0, WrappingFinder())
    return True


def active() -> bool:
    """Return True if this process's transformers is wrapped, or will be when it is imported."""
    return any(isinstance(finder, WrappingFinder) for finder in sys.meta_path)


class WrappingFinder:
    """Finder of transformers' modules that wraps their functions once they are imported."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the spec of a module in `WRAPS` with a loader that wraps; None for any other."""
        if fullname not in WRAPS:
            return None
        from importlib.machinery import PathFinder

        # transformers itself is never imported here: that takes seconds, and most processes of an
        # environment do without.
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        # The loader object belongs to this module alone.
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            WRAPS[fullname](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def wrap_remote_code(dynamic: ModuleType) -> None:
    """Replace the functions of transformers' ``dynamic_module_utils``, once."""
    if hasattr(dynamic, "__dsk_patch__"):
        return
    object_save: Callable[..., Any] = dynamic.custom_object_save
    cached_file: Callable[..., str] = dynamic.get_cached_module_file
    class_in_module: Callable[..., type] = dynamic.get_class_in_module

    def get_cached_module_file(*args: Any, **kwargs: Any) -> str:
        from dsk.transformers_patch import remote_code

        patched = remote_code.module_file(dynamic, cached_file, args, kwargs)
        return cached_file(*args, **kwargs) if patched is None else patched

    def get_class_in_module(class_name: str, module_path: Any, **kwargs: Any) -> type:
        from dsk.transformers_patch import remote_code

        name = remote_code.module_name(module_path)
        if name is None:
            return class_in_module(class_name, module_path, **kwargs)
        return remote_code.import_class(name, class_name)

    def custom_object_save(saved: Any, folder: Any, *args: Any, **kwargs: Any) -> Any:
        from dsk.transformers_patch import remote_code

        files = object_save(saved, folder, *args, **kwargs)
        remote_code.save_originals(saved, files or ())
        return files

    get_cached_module_file.__wrapped__ = cached_file  # type: ignore[attr-defined]
    get_class_in_module.__wrapped__ = class_in_module  # type: ignore[attr-defined]
    dynamic.get_cached_module_file = get_cached_module_file  # type: ignore[attr-defined]
    dynamic.get_class_in_module = get_class_in_module  # type: ignore[attr-defined]
    dynamic.custom_object_save = custom_object_save  # type: ignore[attr-defined]
    dynamic.__dsk_patch__ = True  # type: ignore[attr-defined]


def wrap_tokenizers(auto: ModuleType) -> None:
    """Replace ``AutoTokenizer.from_pretrained`` of transformers 5, once."""
    # Only transformers 5 has TokenizersBackend; earlier ones load the tokenizer correctly.
    if hasattr(auto, "__dsk_patch__") or not hasattr(auto, "TokenizersBackend"):
        return
    from_pretrained: Callable[..., Any] = auto.AutoTokenizer.from_pretrained

    def patched(cls: type, repository: Any, *inputs: Any, **options: Any) -> Any:  # noqa: ARG001
        from dsk.transformers_patch import tokens

        tokenizer = from_pretrained(repository, *inputs, **options)
        return tokens.as_declared(tokenizer, str(repository), inputs, options)

    patched.__wrapped__ = from_pretrained  # type: ignore[attr-defined]
    auto.AutoTokenizer.from_pretrained = classmethod(patched)
    auto.__dsk_patch__ = True  # type: ignore[attr-defined]


WRAPS = {REMOTE_CODE: wrap_remote_code, TOKENIZERS: wrap_tokenizers}
