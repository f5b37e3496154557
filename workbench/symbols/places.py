"""Places in ELF files where a probe can be put: from a symbol to an offset in its file.

Names are looked up exactly as the symbol table has them (``malloc``, ``_ZN2ns1fEi``), without the
symbol's version, or as people read them (``ns::f(int)``, ``ns::f`` where that is one function).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import (
    EM_AARCH64,
    EM_X86_64,
    PF_X,
    SHT_DYNSYM,
    SHT_SYMTAB,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    Symbols,
)
from workbench.errors import AttachError, ObjectFormatError
from workbench.symbols.cheap_places import ALL, LOOKED_AT, cheap_place
from workbench.symbols.debug_files import DebugFiles
from workbench.symbols.demangle import demangled

MACHINES = {"x86_64": EM_X86_64, "aarch64": EM_AARCH64}
_DELETED = " (deleted)"
_MAX_MATCHES = 4096
_CODE = (STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE)


@dataclass(frozen=True)
class Place:
    """A place in a file.

    Parameters
    ----------
    path : str
        The file.
    address : int
        In the file's own virtual address space, as its symbols have it.
    offset : int
        In the file, in bytes.
    symbol : str
        The function, "" where only the offset was given.
    cheaper : int
        Bytes behind a function's entry where a probe sees the same and costs less
        (:mod:`workbench.symbols.cheap_places`).
    """

    path: str
    address: int
    offset: int
    symbol: str = ""
    cheaper: int = 0


def resolved(path: str) -> str:
    """Return the path of a file that is given by its path, or by its name alone.

    Parameters
    ----------
    path : str
        ``/usr/bin/python3``, ``python3`` (as the shell finds it), ``libc.so.6``, ``libc`` or
        ``c`` (as the dynamic linker finds it).

    Raises
    ------
    AttachError
    """
    if path.endswith(_DELETED):
        raise _deleted(path.removesuffix(_DELETED))
    if "/" in path:
        if not Path(path).exists():
            raise _missing(path)
        return path
    found = shutil.which(path) or _library(path)
    if not found:
        raise AttachError(
            f"There is no program and no library {path}.",
            why="neither PATH nor the dynamic linker's cache has it",
            advice="Give its path; /proc/PID/maps lists the files that a process uses.",
        )
    return found


def find(path: str, symbol: str) -> Place:
    """Return where a function begins.

    Parameters
    ----------
    path : str
        See :func:`resolved`.
    symbol : str
        Its name, or ``NAME+OFFSET``, or an offset in the file (``0x1234``).

    Raises
    ------
    AttachError
        No such file, no ELF file of this machine, no such function (with similar names), or
        one whose address is found at run time (IFUNC).
    """
    path = resolved(path)
    with _opened(path) as elf:
        if symbol[:1].isdigit():
            return _at_offset(elf, path, symbol)
        name, plus, more = symbol.rpartition("+")
        if not (plus and more[:1].isdigit()):
            name, plus, more = symbol, "", "0"
        address, shift = _address(elf, path, name), number(more, symbol)
        offset = file_offset(elf, path, address + shift)
        code = b"" if plus else elf.bytes_at(address, LOOKED_AT)
        return Place(path, address + shift, offset, symbol, cheap_place(code, elf.machine, ALL))


def file_offset(elf: Elf, path: str, address: int, *, code: bool = True) -> int:
    """Return where an address of the file's own virtual address space lies in the file.

    Raises
    ------
    AttachError
        It lies in no segment (with ``code``: in none that is executable).
    """
    for segment in elf.loads:
        inside = segment.vaddr <= address < segment.vaddr + segment.filesz
        if inside and (not code or segment.flags & PF_X):
            return address - segment.vaddr + segment.offset
    raise AttachError(
        f"No probe can be put at address {address:#x} of {path}.",
        why="it does not lie in its executable part" if code else "it is not in the file",
    )


def number(text: str, where: str) -> int:
    """Return the value of a decimal or hexadecimal number.

    Raises
    ------
    AttachError
    """
    try:
        return int(text, 0)
    except ValueError:
        raise AttachError(f"{where}: {text!r} is no number.") from None


def open_program(path: str) -> Elf:
    """Return an ELF file of this machine, open; see :func:`find` for the errors."""
    return _opened(path)


def _opened(path: str) -> Elf:
    try:
        elf = Elf.open(path)
    except ObjectFormatError as error:
        raise AttachError(
            f"No probe can be put into {path}.",
            why=error.why or error.what,
            advice="Give an ELF program or library; of a script its interpreter's file is meant.",
        ) from error
    if elf.machine != MACHINES.get(platform.machine(), elf.machine):
        elf.close()
        raise AttachError(
            f"No probe can be put into {path}.", why=f"it is for another machine ({elf.machine})"
        )
    return elf


def _at_offset(elf: Elf, path: str, symbol: str) -> Place:
    offset = number(symbol, path)
    for segment in elf.loads:
        if segment.flags & PF_X and segment.offset <= offset < segment.offset + segment.filesz:
            return Place(path, offset - segment.offset + segment.vaddr, offset)
    raise AttachError(
        f"No probe can be put at offset {offset:#x} of {path}.",
        why="it does not lie in its executable part",
        advice="`readelf -lW` lists the segments.",
    )


def _address(elf: Elf, path: str, name: str) -> int:
    """Return the address of a function, looked up in all symbol tables there are."""
    with _Tables(elf, path) as tables:
        found = tables.exactly(name) or tables.as_read(name)
        if not found:
            raise _unknown(path, name, tables)
        addresses = {address for address, kind in found if kind != STT_GNU_IFUNC}
        if not addresses:
            like = [each for each in tables.names() if name in each and each != name]
            raise AttachError(
                f"No probe can be put on {name} of {path}.",
                why="the program chooses among several implementations at run time (IFUNC)",
                advice=f"Probe the one that is used: {', '.join(like[:8]) or 'see nm'}.",
            )
        if len(addresses) > 1:
            places = ", ".join(hex(file_offset(elf, path, each)) for each in sorted(addresses)[:8])
            raise AttachError(
                f"{path} has {len(addresses)} functions {name}.",
                why="they are local to different source files",
                advice=f"Give the offset of the one that is meant: {places}.",
            )
        return addresses.pop()


class _Tables:
    """The symbol tables of a file and of its debug file."""

    def __init__(self, elf: Elf, path: str) -> None:
        own = elf.symbols(SHT_SYMTAB)
        self.stripped = not len(own.table)
        self._debug = (
            None if not self.stripped else DebugFiles().find(elf, str(Path(path).resolve()))
        )
        tables = [own, elf.symbols(SHT_DYNSYM)]
        if self._debug is not None:
            try:
                tables.append(self._debug.symbols(SHT_SYMTAB))
            except ObjectFormatError:
                pass  # a damaged debug file counts for nothing
        self._tables = [(each, _functions(each)) for each in tables if len(each.table)]

    def __enter__(self) -> _Tables:
        return self

    def __exit__(self, *_: object) -> None:
        if self._debug is not None:
            self._debug.close()

    def exactly(self, name: str) -> list[tuple[int, int]]:
        """Address and type of the functions of that name."""
        wanted = name.encode()
        found = []
        for symbols, rows in self._tables:
            places = set(_ends_with(symbols.strings, wanted + b"\0"))
            places |= set(_ends_with(symbols.strings, wanted + b"@"))  # a version follows
            at = np.isin(rows["name"], np.fromiter(places, np.uint32, len(places)))
            found += [(int(row["value"]), int(row["info"]) & 15) for row in rows[at]]
        return found

    def as_read(self, name: str) -> list[tuple[int, int]]:
        """Address and type of the C++ or Rust functions of that readable name."""
        last = name.partition("(")[0].rpartition("::")[2]
        if not last:
            return []
        found = []
        for symbols, rows in self._tables:
            for row in rows:
                raw = _text(symbols.strings, int(row["name"]))
                if last not in raw or not raw.startswith(("_Z", "_R")):
                    continue
                readable = demangled(raw)
                if name in (readable, readable.partition("(")[0]):
                    found.append((int(row["value"]), int(row["info"]) & 15))
        return found

    def names(self) -> list[str]:
        """Names of all functions."""
        found = {
            _text(symbols.strings, int(at)).partition("@")[0]
            for symbols, rows in self._tables
            for at in rows["name"]
        }
        return sorted(found)


def _functions(symbols: Symbols) -> NDArray[np.void]:
    table = symbols.table
    chosen = np.isin(table["info"] & 15, _CODE) & (table["shndx"] > 0) & (table["value"] > 0)
    rows: NDArray[np.void] = table[chosen]
    return rows


def _ends_with(strings: bytes, wanted: bytes) -> list[int]:
    """Return where a name lies in a string table; linkers share the ends of strings."""
    found: list[int] = []
    at = strings.find(wanted)
    while at >= 0 and len(found) < _MAX_MATCHES:
        found.append(at)
        at = strings.find(wanted, at + 1)
    return found


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.find(b"\0", at)].decode("utf-8", "replace")


def _library(name: str) -> str:
    """Return the path of a library as ld.so.cache has it, "" where it does not."""
    wanted = (name, f"{name}.so", f"lib{name}.so")
    try:
        done = subprocess.run(
            ["ldconfig", "-p"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
    except OSError:
        return ""
    for line in done.stdout.splitlines():
        soname, _, path = line.strip().partition(" => ")
        soname = soname.split(" ")[0]
        if any(soname == each or soname.startswith(f"{each}.") for each in wanted):
            return path
        if soname.startswith(f"{name}.so"):
            return path
    return ""


def _missing(path: str) -> AttachError:
    return AttachError(
        f"There is no file {path}.",
        why="it was removed, or lies in a container's file system",
        advice="A file of a container is /proc/PID/root/PATH; one that was removed while PID "
        "runs it is /proc/PID/exe.",
    )


def _deleted(path: str) -> AttachError:
    now = " Another file of that name is there now." if Path(path).exists() else ""
    return AttachError(
        f"The file {path} was deleted.",
        why=f"a process uses a file that no name leads to any more.{now}",
        advice="Give /proc/PID/exe (a program) or /proc/PID/map_files/RANGE (a library) of a "
        "process that uses it, or start that process again.",
    )


def _unknown(path: str, name: str, tables: _Tables) -> AttachError:
    names = tables.names()
    folded = [each for each in names if each.lower() == name.lower()]
    close = list(dict.fromkeys([*folded, *get_close_matches(name, names, 5, 0.6)]))
    why = "its symbol table has none of that name"
    advice = f"Similar: {', '.join(close)}." if close else "`nm -D` and `nm` list its functions."
    if tables.stripped:
        why = f"it is stripped: names are left for {len(names):,} functions, debug file included"
        advice = (f"Similar: {', '.join(close)}. " if close else "") + (
            "Install its debug symbols (package NAME-dbgsym or -dbg), or give an offset in the "
            "file: uprobe:PATH:0x1234."
        )
    return AttachError(f"{path} has no function {name}.", why=why, advice=advice)
