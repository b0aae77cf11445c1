"""The sandbox of a process that opens one untrusted document.

Parsers of PDF and images have had faults that run a document's bytes as a program. Each document is
therefore opened by a process of its own, forked from one that has opened none. It may read the
document and the installed libraries, write to the document's own folder if it writes outputs, and
answer over the channel that it has; it may do nothing else.

The process has to be single-threaded: Landlock and seccomp bind one thread, and another one of the
same memory would be a way out. A process that was just forked is.
"""

from __future__ import annotations

import functools
import os
import resource
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dsk import paths
from dsk.confinement import landlock, privileges, seccomp
from dsk.confinement.landlock import FileAccess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.schema.limits import Limits

# Bytes of address space. Measured: a page of 250 million pixels takes 2 GB, opening a document of
# 50,000 pages 0.2 GB.
_MEMORY: Final = 8 << 30
# One that renders has the document and two files in memory open, one that writes ten files. The
# product of this and the next is memory, too, which no limit on address space counts.
_OPEN_FILES: Final = 64
# Bytes of a file. A process that only reads makes files in memory, of a page's pixels.
_LEAST_FILE: Final = 256 << 20
_BYTES_A_PIXEL: Final = 4
# An output holds the pages of a document of up to 4 GB again, as pictures.
_OUTPUT_FILE: Final = 64 << 30

# What the dynamic loader and the C library may open late. Devices without a state.
_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime"),
    *("/dev/null", "/dev/urandom"),
)

# Variables that Python and its libraries need to start. All others stay behind: keys and tokens are
# handed to programs as variables, too.
_VARIABLES: Final = frozenset(
    {
        *("HOME", "PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "DSK_COMPAT"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC"),
        *("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONUTF8"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONHASHSEED", "PYTHONWARNINGS"),
    }
)
_ALWAYS: Final = {
    # `python -m` would import from the working folder first, where the documents may lie.
    "PYTHONSAFEPATH": "1",
    # NumPy's linear algebra starts threads when it is imported, and nothing here uses it.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def environment() -> dict[str, str]:
    """Return the whole environment for a process that opens documents."""
    ours = {name: value for name, value in os.environ.items() if name in _VARIABLES}
    return ours | _ALWAYS


def gaps() -> tuple[str, ...]:
    """Return the means of confinement that this kernel does not offer, by their names."""
    offered = {"Landlock": landlock.abi() > 0, "seccomp": seccomp.is_offered()}
    return tuple(name for name, is_there in offered.items() if not is_there)


def import_parsers() -> None:
    """Import the libraries that open documents, for the processes that are forked later."""
    # The command line needs neither.
    from PIL import Image

    import dsk.ocr.documents.image
    import dsk.ocr.documents.pdf  # noqa: F401

    Image.init()  # otherwise with the first TIFF or WebP


def confine(
    reads: Iterable[Path],
    limits: Limits,
    *,
    channel: int,
    writes: Path | None = None,
    lists: Path | None = None,
) -> None:
    """Confine this process to one document, for the rest of its life.

    What the kernel does not offer is left out; see `gaps`.

    Args:
        reads: the files to read, besides the installed libraries.
        limits: bounds on what a document may take.
        channel: the descriptor that answers go through; all others are closed.
        writes: the folder to write to; None for none.
        lists: the folder whose names may be listed; None for none.

    Raises:
        OSError: the kernel refuses what it offers.
    """
    privileges.be_killed_first()
    privileges.limit(resource.RLIMIT_AS, _MEMORY)
    # A core dump would be as large as the memory, and hold the document.
    privileges.limit(resource.RLIMIT_CORE, 0)
    privileges.limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    # It bounds what the process itself may start, not how many its user has. Root is exempt, and
    # held by seccomp alone.
    privileges.limit(resource.RLIMIT_NPROC, 0)
    in_memory = max(_LEAST_FILE, _BYTES_A_PIXEL * limits.max_pixels)
    privileges.limit(resource.RLIMIT_FSIZE, _OUTPUT_FILE if writes else in_memory)
    rules = [(path, landlock.READ) for path in _installed()]
    # Whoever may write to the document's folder could put a link to / in its place for a moment.
    rules += [(path, FileAccess.READ_FILE) for path in reads]
    rules.append((Path(os.devnull), landlock.READ | FileAccess.WRITE_FILE))
    if writes is not None:
        rules.append((writes, landlock.WRITE))
    if lists is not None:
        rules.append((lists, FileAccess.READ_DIR))
    privileges.keep_descriptor(channel)
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
    landlock.restrict(rules)
    seccomp.restrict(writes=writes is not None)


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Return the folders and files of the system's, Python's and dsk's own libraries."""
    # Not sys.path: its first entry may be the working folder, with all that the user has there.
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    folders = [Path(prefix, name) for prefix in sorted(prefixes) for name in ("lib", "lib64")]
    folders += [Path(folder) for folder in site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        folders.append(Path(site.getusersitepackages()))
    return (*map(Path, _SYSTEM), *folders, paths.PACKAGE, paths.compat())
