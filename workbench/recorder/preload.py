"""Starting a command with the library that samples its allocations.

Its source is ``workbench/preload/memory.c``.

The library makes the part ``heap`` of the kind ``memory`` affordable: a sampled allocation traps,
the other ones do not. The dynamic linker loads it, told by ``LD_PRELOAD`` (ld.so(8)), into the
command and into what that starts. Some programs do not let it, or would not use it: these have
probes on their allocators instead.

What it does not see: calls that a library binds to the C library past it (``RTLD_DEEPBIND``), and a
C++ library's own operators that do not call ``malloc``. A child of another kind of machine, such as
a 32-bit one, is told by its dynamic linker that it cannot load the library, and goes on.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.kinds import OBJECTS
from workbench.symbols.allocators import allocator_in
from workbench.symbols.places import MACHINES
from workbench.unwind.learned import recall
from workbench.unwind.needed import files_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.recorder.spec import Spec

KIND = "memory"
LIBRARY = OBJECTS / "libworkbench-memory.so"
PRELOAD, SAMPLE_BYTES = "LD_PRELOAD", "WORKBENCH_SAMPLE_BYTES"
"""Environment variables: what ld.so loads first, and what the library reads."""
_C_LIBRARY = re.compile(r"(libc|ld)[.-]")
_PRIVILEGES = "security.capability"  # extended attribute: include/uapi/linux/xattr.h
_SET_ID = 0o6000


def obstacle(program: str, more: Iterable[str] = ()) -> str:
    """Say why a program would not be sampled by the library.

    Parameters
    ----------
    program : str
        Path, or a name in PATH; a script stands for its interpreter.
    more : iterable of str
        Further files that it is known to load.

    Returns
    -------
    str
        "" if it would be.
    """
    files = files_of(program)
    if not LIBRARY.is_file():
        return f"{LIBRARY} was not built"
    if not files:
        return "it is no program that a dynamic linker starts"
    try:
        with Elf.open(files[0]) as elf:
            linked = ".interp" in elf.sections and elf.bits == 64
            linked = linked and elf.machine == MACHINES.get(platform.machine())
    except ObjectFormatError:
        linked = False
    if not linked:
        return "it is linked statically, or is of another kind of machine"
    if _secure(files[0]):
        return "it runs with privileges of its own, and the dynamic linker ignores LD_PRELOAD"
    for path in dict.fromkeys([*files, *more]):
        name = Path(path).name
        # What an earlier capture of the command has seen may be the library itself.
        if name != LIBRARY.name and not _C_LIBRARY.match(name) and allocator_in(path):
            return f"{path} is an allocator, whose functions may call each other"
    return ""


def _secure(path: str) -> bool:
    try:
        return bool(Path(path).stat().st_mode & _SET_ID) or _PRIVILEGES in os.listxattr(path)
    except OSError:
        return False


def variables(sample_bytes: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a command is to be started.

    Parameters
    ----------
    sample_bytes : int
        Bytes between two sampled allocations, on average; 0: all.
    environment : mapping of str to str
        The variables as they are: what is preloaded already stays, behind the library.
    """
    loaded = [str(LIBRARY), *filter(None, [environment.get(PRELOAD, "")])]
    return {PRELOAD: ":".join(loaded), SAMPLE_BYTES: str(sample_bytes)}


def prepared(spec: Spec, environment: Mapping[str, str]) -> tuple[Spec, dict[str, str]]:
    """Decide how the allocations of a command are sampled.

    Parameters
    ----------
    spec : Spec
        Of a capture of a command.
    environment : mapping of str to str
        With which the command will start.

    Returns
    -------
    Spec
        ``preload`` of the kind ``memory`` is off where the command is an obstacle.
    dict of str to str
        Further variables for the command.
    """
    parameters = spec.kinds.get(KIND)
    if not parameters or not parameters["preload"] or "heap" not in parameters["parts"]:
        return spec, {}
    command = spec.target.command
    more = [*recall(command), *re.split("[: ]", environment.get(PRELOAD, ""))]
    # The path is one word of a list that is separated by colons or spaces.
    unspeakable = re.search("[: ]", str(LIBRARY))
    if parameters["allocators"] or unspeakable or obstacle(command[0], more):
        own: dict[str, Any] = {**parameters, "preload": False}
        return replace(spec, kinds={**spec.kinds, KIND: own}), {}
    return spec, variables(parameters["sample_bytes"], environment)


def has_variables(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process was started with the variables of :func:`variables`."""
    try:
        words = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    given = dict(word.split(b"=", 1) for word in words if b"=" in word)
    loaded = re.split(b"[: ]", given.get(PRELOAD.encode(), b""))
    return os.fsencode(LIBRARY) in loaded and SAMPLE_BYTES.encode() in given


def inherited(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process that has begun a program is sampled by the library."""
    if not has_variables(pid, proc):
        return False
    try:
        program = (proc / str(pid) / "exe").readlink()
        status = program.stat()
    except OSError:
        return False
    return not _known_obstacle(str(program), status.st_ino, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _known_obstacle(program: str, _inode: int, _changed_ns: int) -> str:
    """Programs are started over and over."""
    return obstacle(program)
