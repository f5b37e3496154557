"""Reads DWARF in a process of its own; run as a program by :mod:`workbench.symbols.lines`.

Debug information is a program for a small machine, anybody may have written it, and the library
that reads it (``symbolic``) is native code. So it runs here, without privilege, with limits of
memory and time, and may crash: the recorder goes on.

Nothing of the workbench is imported, so that starting it takes 60 ms.

A request is a length and JSON, with descriptors of the file to read and, where a cache of it is to
be made, of the file that the cache goes to; the answer is a length and JSON:

======================= =========================================================================
``made``                whether the descriptor already is that of a cache
``addresses``           relative to the first loaded segment
======================= =========================================================================
``error``               why there is no answer
``texts``               functions and files, each once
``counts``              how many locations each address has, innermost first
``locations``           function, file (numbers of ``texts``), line
======================= =========================================================================
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import socket
import struct
import sys
from typing import Any

LENGTH = struct.Struct("<I")
MAX_REQUEST = 1 << 22
MAX_TEXT = 4096
MAX_LOCATIONS = 128
"""Locations of one address: how deep inlining may go."""
MAX_MEMORY = 3 << 30
"""Address space beside the file itself; a debug file of 500 MB needs 2 GB."""
MAX_CACHE_BYTES = 1 << 30
MAX_CPU_SECONDS = 600
_NOBODY = 65534


def restrict() -> None:
    """Give up what reading debug information does not need."""
    os.nice(5)
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_CACHE_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(kind)
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lowest, lowest))
    try:
        # Where memory runs out, let it be this process.
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - no pathlib here
            file.write("1000")
    except OSError:
        pass
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def limit_memory(size: int) -> None:
    """Allow memory for a file of `size` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY + size, hard))


def open_cache(source: int, target: int, made: bool) -> Any:
    """Return the lookup structure of a debug file; it is written to `target` unless it was made."""
    from symbolic._lowlevel import ffi
    from symbolic.debuginfo import Archive
    from symbolic.symcache import SymCache

    content = mmap.mmap(source, 0, prot=mmap.PROT_READ)
    limit_memory(len(content))
    buffer = ffi.from_buffer(content)
    if made:
        from_bytes: Any = SymCache.from_bytes  # the library has no types
        return from_bytes(buffer)
    cache: Any = next(Archive.from_bytes(buffer).iter_objects()).make_symcache()
    with cache.open_stream() as stream:
        while part := stream.read(1 << 20):
            os.write(target, part)
    return cache


def look_up(cache: Any, addresses: list[int]) -> dict[str, Any]:
    """Return the answer for addresses."""
    texts: dict[str, int] = {}
    counts, locations = [], []
    for address in addresses:
        found = cache.lookup(address)[:MAX_LOCATIONS] if address < 1 << 32 else []
        counts.append(len(found))
        for each in found:
            function = texts.setdefault(each.symbol[:MAX_TEXT], len(texts))
            file = texts.setdefault((each.full_path or "")[:MAX_TEXT], len(texts))
            locations.append((function, file, each.line))
    return {"texts": list(texts), "counts": counts, "locations": locations}


def serve(channel: socket.socket) -> None:
    """Answer requests until the other side is gone."""
    key, cache = "", None
    while True:
        head, descriptors, _, _ = socket.recv_fds(channel, LENGTH.size, 2)
        if len(head) < LENGTH.size:
            return
        try:
            request = json.loads(receive(channel, LENGTH.unpack(head)[0]))
            if request["key"] != key:
                key, cache = "", None
                gc.collect()
                cache = open_cache(descriptors[0], descriptors[-1], request["made"])
                key = request["key"]
            answer = look_up(cache, request["addresses"])
        except (Exception, MemoryError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:MAX_TEXT]}
        for descriptor in descriptors:
            os.close(descriptor)
        content = json.dumps(answer).encode()
        channel.sendall(LENGTH.pack(len(content)) + content)


def receive(channel: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes."""
    if size > MAX_REQUEST:
        raise ValueError(size)
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        import symbolic.debuginfo  # noqa: F401 - before privileges and descriptors are given up
    except ImportError:
        sys.exit(3)
    restrict()
    serve(channel)


if __name__ == "__main__":
    main()
