"""Dynamic symbols of shared libraries, read from the files without loading them."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_DYNSYM = 11  # SHT_DYNSYM
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, section, value, size
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_UNDEFINED = 0  # SHN_UNDEF


class _Section(NamedTuple):
    kind: int
    offset: int
    size: int
    link: int


def undefined_symbols(library: Path) -> set[bytes]:
    """Return the symbols that a library expects from others.

    Raises:
        ValueError: it is not a 64-bit ELF file.
    """
    with _mapped(library) as data:
        sections = _sections(data)
        table = next(section for section in sections if section.kind == _DYNSYM)
        names = _text(data, sections[table.link])
        entries = _SYMBOL.iter_unpack(data[table.offset : table.offset + table.size])
        return {
            names[entry[0] : names.index(b"\0", entry[0])]
            for entry in entries
            if entry[3] == _UNDEFINED and entry[0]
        }


def missing_from(library: Path, names: set[bytes]) -> set[bytes]:
    """Return those of the names that are not in a library's dynamic string table.

    Raises:
        ValueError: it is not a 64-bit ELF file.
    """
    with _mapped(library) as data:
        sections = _sections(data)
        table = next(section for section in sections if section.kind == _DYNSYM)
        text = _text(data, sections[table.link])
    left = names.difference(text.split(b"\0"))
    # Linkers merge tails: a name that is the end of another one has no entry of its own.
    return {name for name in left if name + b"\0" not in text}


def _mapped(library: Path) -> mmap.mmap:
    with library.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _sections(data: mmap.mmap) -> list[_Section]:
    if data[:5] != b"\x7fELF\x02":
        msg = "not a 64-bit ELF file"
        raise ValueError(msg)
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    raw = (_SECTION.unpack_from(data, start + size * index) for index in range(count))
    return [
        _Section(kind=fields[1], offset=fields[4], size=fields[5], link=fields[6]) for fields in raw
    ]


def _text(data: mmap.mmap, section: _Section) -> bytes:
    return data[section.offset : section.offset + section.size]
