"""A program and all that it started, as the kernel sees them: sockets, memory, command lines."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTENING: Final = "0A"
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


def members(root: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2]
        except OSError:
            continue  # it has ended
        children.setdefault(int(after_name.split()[1]), []).append(int(folder.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def listening(root: int) -> set[tuple[str, int]]:
    """Return the addresses and ports on which the processes of a tree listen for TCP."""
    addresses = dict(_sockets("tcp")) | dict(_sockets("tcp6"))
    return {addresses[inode] for inode in _inodes(root) if inode in addresses}


def beyond_loopback(root: int) -> set[tuple[str, int]]:
    """Return those of `listening` that other machines can reach."""
    return {found for found in listening(root) if not ipaddress.ip_address(found[0]).is_loopback}


def memory(root: int) -> int:
    """Return the bytes of memory of a tree, each shared page counted once."""
    total = 0
    for process in members(root):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
        except OSError:
            continue
        total += sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))
    return total << 10


def command_lines(root: int) -> list[str]:
    """Return the command line of each process of a tree, as ``ps`` shows it to everybody."""
    lines = []
    for process in members(root):
        try:
            lines.append(Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return lines


def environments(root: int) -> dict[int, dict[str, str]]:
    """Return the environment variables that each process of a tree was started with."""
    found = {}
    for process in members(root):
        try:
            text = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        pairs = (entry.partition("=") for entry in text.split("\0") if entry)
        found[process] = {name: value for name, _, value in pairs}
    return found


def _inodes(root: int) -> Iterator[str]:
    for process in members(root):
        try:
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                if match := _SOCKET.match(str(descriptor.readlink())):
                    yield match[1]
        except OSError:
            continue


def _sockets(protocol: str) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the inode of each listening socket of this machine, with its address and port."""
    for line in Path(f"/proc/net/{protocol}").read_text("utf-8").splitlines()[1:]:
        _, local, _, state, *more = line.split()
        if state != _LISTENING:
            continue
        address, port = local.split(":")
        # The kernel prints words of four bytes, each in the machine's order.
        words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        yield more[5], (socket.inet_ntop(family, b"".join(words)), int(port, 16))
