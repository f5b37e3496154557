"""What a program will map when it starts: itself, its loader and its libraries.

A guess in the manner of ld.so(8), made before a command runs so that its first samples find
their tables. What it misses is found once it is mapped.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import numpy as np

from workbench.elf import Elf
from workbench.errors import ObjectFormatError

CACHE = Path("/etc/ld.so.cache")
MAX_FILES = 256
MAX_CACHE_BYTES = 16 << 20
_MAGIC = b"glibc-ld.so.cache1.1"  # struct cache_file_new, sysdeps/generic/dl-cache.h of glibc
_HEADER_BYTES, _ENTRY_BYTES = 48, 24
_64_BIT = (0x0300, 0x0A00)  # FLAG_X8664_LIB64, FLAG_AARCH64_LIB64, sysdeps/generic/ldconfig.h
# elf.h, d_tag
DT_NEEDED, DT_RPATH, DT_RUNPATH = 1, 15, 29
_LOADED = {"libjli.so": "server/libjvm.so"}
"""What a library is sure to load with dlopen(3), below its own folder: Java's launcher loads the
virtual machine (GetJVMPath() in libjli/java_md.c of the JDK)."""
_INTERPRETERS = 4
"""Scripts that are run by scripts: BINPRM limits them so (fs/exec.c)."""


def files_of(program: str) -> list[str]:
    """Return the files that a command's start maps, as far as they can be told.

    Parameters
    ----------
    program : str
        Path, or a name in PATH; a script stands for its interpreter.
    """
    path = _binary(program)
    if path is None:
        return []
    libraries, waiting = _cache(), [path]
    found: list[str] = []
    while waiting and len(found) < MAX_FILES:
        path = waiting.pop()
        real = os.path.realpath(path)
        if real in found:
            continue
        needs = _needs(real, libraries)
        if needs is not None:
            found.append(real)
            waiting.extend(needs)
    return found


def _binary(program: str) -> str | None:
    """Return the program that runs, behind scripts and env(1)."""
    for _ in range(_INTERPRETERS + 1):
        path = shutil.which(program)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - which() gave a regular file
                line = file.read(256).split(b"\n")[0]
        except OSError:
            return None
        if not line.startswith(b"#!"):
            return path
        words = line[2:].decode("utf-8", "replace").split()
        if words and Path(words[0]).name == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if not words:
            return None
        program = words[0]
    return None


def _needs(path: str, libraries: dict[str, str]) -> list[str] | None:
    """Return loader and libraries of a file; None if it is none that runs."""
    try:
        with Elf.open(path) as elf:
            names, folders = _dynamic(elf, path)
            loader = (
                elf.section_bytes(".interp").rstrip(b"\0") if ".interp" in elf.sections else b""
            )
    except ObjectFormatError:
        return None
    found = [os.fsdecode(loader.rstrip(b"\0"))] if loader else []
    if Path(path).name in _LOADED:
        found.append(str(Path(path).parent / _LOADED[Path(path).name]))
    for name in names:
        if "/" in name:
            found.append(name)
            continue
        own = next((f"{folder}/{name}" for folder in folders if Path(folder, name).is_file()), "")
        if own or name in libraries:
            found.append(own or libraries[name])
    return found


def _dynamic(elf: Elf, path: str) -> tuple[list[str], list[str]]:
    """Return names (DT_NEEDED) and folders (DT_RUNPATH, DT_RPATH) of the dynamic section."""
    if elf.bits != 64 or not {".dynamic", ".dynstr"} <= elf.sections.keys():
        return [], []
    order = "<" if elf.byteorder == "little" else ">"
    content = elf.section_bytes(".dynamic")
    entries = np.frombuffer(content[: len(content) // 16 * 16], f"{order}u8").reshape(-1, 2)
    strings = elf.section_bytes(".dynstr")
    texts: dict[int, list[str]] = {DT_NEEDED: [], DT_RPATH: [], DT_RUNPATH: []}
    for tag, value in entries[: 4 * MAX_FILES].tolist():
        if tag in texts and value < len(strings):
            texts[tag].append(strings[value:].split(b"\0", 1)[0].decode("utf-8", "replace"))
    origin = str(Path(path).parent)
    runs = ":".join(texts[DT_RUNPATH] or texts[DT_RPATH])
    runs = runs.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
    return texts[DT_NEEDED], [folder for folder in runs.split(":") if folder.startswith("/")]


def _cache(path: Path = CACHE) -> dict[str, str]:
    """Return the libraries that the dynamic loader knows: name to path."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_CACHE_BYTES else b""
    except OSError:
        return {}
    at = content.find(_MAGIC)
    if at < 0 or len(content) < at + _HEADER_BYTES:
        return {}
    content = content[at:]
    (count,) = struct.unpack_from("<I", content, len(_MAGIC))
    count = min(count, (len(content) - _HEADER_BYTES) // _ENTRY_BYTES)
    layout = np.dtype([("flags", "<u4"), ("key", "<u4"), ("value", "<u4"), ("rest", "<u4", 3)])
    entries = np.frombuffer(content, layout, count, _HEADER_BYTES)
    entries = entries[np.isin(entries["flags"] & 0xFF00, _64_BIT)]
    found: dict[str, str] = {}
    for key, value in zip(entries["key"].tolist(), entries["value"].tolist(), strict=True):
        name, target = (
            content[start : content.find(b"\0", start)].decode("utf-8", "replace")
            for start in (key, value)
        )
        found.setdefault(name, target)
    return found
