"""Remote code for transformers: the repository's own, or a folder of it patched by dsk.

Files are found the way transformers finds them (`cached_file`: a remote id, a local folder, the
hub's cache, offline or not) and are never written to. A patched repository is a package of its own,
``transformers_modules.dsk_<digest>``, so nothing that transformers cached earlier is read.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import posixpath
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dsk.transformers_patch import detection, folders, repository

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
    """Where the patched module lies, as transformers' ``get_cached_module_file`` would say it.

    Args:
        dynamic: transformers' ``dynamic_module_utils``.
        get_cached_module_file: its own function, for its signature.
        args: what it was called with.
        kwargs: likewise.

    Returns:
        ``transformers_modules/dsk_<digest>/<module>.py``, or None when the code is not the model's
        or no file of it needs a patch: transformers' own function is to be called then.
    """
    call = inspect.signature(get_cached_module_file).bind(*args, **kwargs).arguments
    repo, entry = str(call.pop("pretrained_model_name_or_path")), str(call.pop("module_file"))
    find, find_here = _finders(dynamic, repo, call)
    try:
        needed = repository.closure(entry, find)
    except (OSError, SyntaxError, ValueError):
        return None  # transformers says it better
    sources = repository.named(find_here) | needed
    if not detection.ours(source for source, _ in sources.values()):
        for name, (source, path) in needed.items():
            if posixpath.basename(name) in detection.NAMES:
                _warn(folders.left_alone(path, source, "nothing in it is known"))
        return None
    folder = folders.patched(sources, Path(dynamic.HF_MODULES_CACHE) / PACKAGE)
    for line in folder.unknown:
        _warn(line)
    if not folder.changed:
        return None
    _make_importable(dynamic, folder.path.parent)
    for name in needed:
        dynamic.check_imports(str(folder.path / name))
    return os.path.join(PACKAGE, folder.path.name, entry)  # noqa: PTH118


def _finders(dynamic: ModuleType, repo: str, call: Mapping[str, Any]) -> tuple[Find, Find]:
    """Two ways to find a file: as transformers would for this call, and only what is here."""
    parameters = inspect.signature(dynamic.cached_file).parameters
    open_ended = any(x.kind is inspect.Parameter.VAR_KEYWORD for x in parameters.values())
    options = {
        name: value
        for name, value in call.items()
        if (open_ended and name != "deprecated_kwargs") or name in parameters
    }

    def find(name: str, **more: bool) -> Path | None:
        found = dynamic.cached_file(repo, name, **options | more)
        return Path(found) if found else None

    def find_here(name: str) -> Path | None:
        try:
            return find(name, local_files_only=True)
        except OSError:
            return None

    return find, find_here


def module_name(module_path: str | os.PathLike[str]) -> str | None:
    """The dotted name of a module that `module_file` returned; None for any other."""
    name = os.path.normpath(module_path).removesuffix(".py").replace(os.path.sep, ".")
    return name if name.startswith(PREFIX) else None


def import_class(name: str, class_name: str) -> type:
    """A class of a patched module. The folder is named by its content: it never needs reloading."""
    found: type = getattr(importlib.import_module(name), class_name)
    return found


def save_originals(saved: object, files: Iterable[str | os.PathLike[str]]) -> None:
    """Put the published files where transformers saved a model's patched ones."""
    module = sys.modules[type(saved).__module__]
    if module.__name__.startswith(PREFIX) and module.__file__:
        for file in map(Path, files):
            beside = Path(module.__file__).with_name(file.name + detection.BESIDE)
            if beside.is_file():
                file.write_bytes(beside.read_bytes())


def _make_importable(dynamic: ModuleType, folder: Path) -> None:
    """Let ``transformers_modules`` find its parts in ``folder`` too, a side folder perhaps."""
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


@functools.cache
def _warn(line: str) -> None:
    """Once a process, on stderr: logging may be set up by nobody."""
    print(f"dsk: {line}", file=sys.stderr)
