"""Patched remote code in place of a repository's own, for the wrapped functions of transformers.

Files are found the way transformers finds them (`cached_file`: a remote id, a local folder, the
hub's cache, offline or not) and never written to. A patched repository is a package of its own,
``transformers_modules.dsk_<digest>``, so that nothing that transformers cached earlier is read.
"""

from __future__ import annotations

import importlib
import inspect
import os
import posixpath
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.transformers_patch import detection, folders, proof, repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from dsk.transformers_patch.repository import Find

PACKAGE: Final = "transformers_modules"
PREFIX: Final = f"{PACKAGE}.{folders.PREFIX}"


def module_file(
    dynamic: ModuleType,
    get_cached_module_file: Callable[..., str],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str | None:
    """Return the path of the patched module, as ``get_cached_module_file`` of transformers would.

    Args:
        dynamic: transformers' ``dynamic_module_utils``.
        get_cached_module_file: the original function, for its signature.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.

    Returns:
        ``transformers_modules/dsk_<digest>/<module>.py``; None if the code is not the model's or
        needs no patch: then the original function is to be called.
    """
    call = inspect.signature(get_cached_module_file).bind(*args, **kwargs).arguments
    repo, entry = str(call.pop("pretrained_model_name_or_path")), str(call.pop("module_file"))
    find, find_local = _finders(dynamic, repo, call)
    try:
        needed = repository.closure(entry, find)
    except (OSError, SyntaxError, ValueError):
        return None  # transformers' own message about it is better
    sources = repository.auto_map_sources(find_local) | needed
    if not detection.is_model_code(source for source, _ in sources.values()):
        for name, (source, path) in needed.items():
            if posixpath.basename(name) in detection.NAMES:
                folders.warn(folders.unpatched_message(path, source, "nothing in it is recognized"))
        return None
    folder = folders.patched_folder(sources, Path(dynamic.HF_MODULES_CACHE) / PACKAGE)
    for message in folder.unknown:
        folders.warn(message)
    if not folder.changed:
        return None
    proof.warn_of_newer()
    _make_importable(dynamic, folder.path.parent)
    for name in needed:
        dynamic.check_imports(str(folder.path / name))
    return os.path.join(PACKAGE, folder.path.name, entry)  # noqa: PTH118


def _finders(dynamic: ModuleType, repo: str, call: Mapping[str, Any]) -> tuple[Find, Find]:
    """Return two functions that find a file: as transformers would, and without downloading."""
    parameters = inspect.signature(dynamic.cached_file).parameters
    open_ended = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    options = {
        name: value
        for name, value in call.items()
        if (open_ended and name != "deprecated_kwargs") or name in parameters
    }

    def find(name: str, **more: bool) -> Path | None:
        path = dynamic.cached_file(repo, name, **options | more)
        return Path(path) if path else None

    def find_local(name: str) -> Path | None:
        try:
            return find(name, local_files_only=True)
        except OSError:
            return None

    return find, find_local


def module_name(module_path: str | os.PathLike[str]) -> str | None:
    """Return the dotted name of a module that `module_file` returned; None for any other."""
    name = os.path.normpath(module_path).removesuffix(".py").replace(os.path.sep, ".")
    return name if name.startswith(PREFIX) else None


def import_class(name: str, class_name: str) -> type:
    """Return a class of a patched module."""
    # No reload, as transformers does: the folder's name changes with its content.
    remote: type = getattr(importlib.import_module(name), class_name)
    return remote


def save_originals(saved: object, files: Iterable[str | os.PathLike[str]]) -> None:
    """Write the published files over the patched ones that transformers saved beside a model."""
    module = sys.modules[type(saved).__module__]
    if module.__name__.startswith(PREFIX) and module.__file__:
        for file in map(Path, files):
            original = Path(module.__file__).with_name(file.name + detection.ORIGINAL_SUFFIX)
            if original.is_file():
                file.write_bytes(original.read_bytes())


def _make_importable(dynamic: ModuleType, folder: Path) -> None:
    """Let the package ``transformers_modules`` find modules in ``folder`` too."""
    if PACKAGE not in sys.modules:
        if folder.parent == Path(dynamic.HF_MODULES_CACHE):
            dynamic.create_dynamic_module(PACKAGE)
        if str(folder.parent) not in sys.path:
            sys.path.append(str(folder.parent))
        importlib.invalidate_caches()
    package = importlib.import_module(PACKAGE)
    if str(folder) not in package.__path__:
        package.__path__.append(str(folder))
    importlib.invalidate_caches()
