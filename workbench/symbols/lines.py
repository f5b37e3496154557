"""From addresses in a program to source lines and inlined functions.

The work is done by :mod:`workbench.symbols.line_child`, a process that is started when it is first
needed and may fail: what it cannot answer in time has no lines. Not for several threads at once,
but for :meth:`LineReader.close`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workbench.symbols.demangle import demangled
from workbench.symbols.line_cache import LineCache, fingerprint
from workbench.symbols.line_child import LENGTH
from workbench.symbols.regular import Identity

MAX_FILE_BYTES = 1 << 32
"""Larger debug files have no lines."""
MAX_ANSWER = 1 << 25
MAX_FAILURES = 16
"""After as many crashes and timeouts no lines are read any more."""
PART = 4096
"""Addresses of one request."""
MAKE_SECONDS = 60.0
"""Time for making the lookup structure of one file; 100 MB of debug information need 5 s."""
LOOKUP_SECONDS = 20.0
_CHILD = Path(__file__).with_name("line_child.py")
_NOT_INSTALLED = 3


class Location(NamedTuple):
    """Where an address comes from.

    Parameters
    ----------
    function : str
        Readable name, "" where it is not known.
    file : str
        Path as the compiler knew it, "" where it is not known.
    line : int
        From 1; 0 where it is not known.
    """

    function: str
    file: str
    line: int


class LineReader:
    """Reads lines in a process of its own.

    Parameters
    ----------
    cache : LineCache, optional
        Where lookup structures are kept; by default this user's.
    make_seconds : float
        Time that one file may take.

    Attributes
    ----------
    status : str
        "new"; "ok"; "missing": the library is not installed; "failed": too many failures.
    failures : int
        Files whose lines could not be read; `last_failure` is the last one's reason.
    """

    def __init__(self, cache: LineCache | None = None, make_seconds: float = MAKE_SECONDS) -> None:
        self.status = "new"
        self.failures = 0
        self.last_failure = ""
        self._cache = cache or LineCache()
        self._make_seconds = make_seconds
        self._crashes = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._closed = False
        self._names: dict[Identity, str] = {}
        self._bad: set[Identity] = set()

    def lookup(
        self, source: int, build_id: str, addresses: list[int]
    ) -> list[tuple[Location, ...]]:
        """Return where addresses come from.

        Parameters
        ----------
        source : int
            Descriptor of the file with the debug information; it stays open.
        build_id : str
            Of the program, "" if it has none.
        addresses : list of int
            Relative to the first loaded segment.

        Returns
        -------
        list of tuple of Location
            For each address the innermost inlined function first, the function that holds the
            code last; empty where nothing is known.
        """
        nothing: list[tuple[Location, ...]] = [()] * len(addresses)
        if self._closed or self.status in ("missing", "failed") or not addresses:
            return nothing
        file = Identity.of(os.fstat(source))
        if file in self._bad:
            return nothing
        try:
            found = self._lookup(source, self._name(file, source, build_id), addresses)
        except Exception as error:  # whatever comes from such a file and process
            self._bad.add(file)
            self.failures += 1
            self.last_failure = f"{type(error).__name__}: {error}"
            return nothing
        self.status = "ok"
        return found

    def close(self) -> None:
        """End the process, also while another thread waits for it."""
        self._closed = True
        self._end()

    def _name(self, file: Identity, source: int, build_id: str) -> str:
        """Return what the file is called in the cache."""
        if not 0 < file.size <= MAX_FILE_BYTES:
            raise ValueError(f"the debug file has {file.size} bytes")
        if file not in self._names:
            name = f"{build_id or 'none'}-{fingerprint(source)}-{_version()}"
            self._names[file] = name
        return self._names[file]

    def _lookup(self, source: int, name: str, addresses: list[int]) -> list[tuple[Location, ...]]:
        parts = [addresses[at : at + PART] for at in range(0, len(addresses), PART)]
        found = self._first(source, name, parts[0])
        for part in parts[1:]:
            # The process still has the file.
            found += self._ask([source, source], name, part, made=True, seconds=LOOKUP_SECONDS)
        return found

    def _first(self, source: int, name: str, part: list[int]) -> list[tuple[Location, ...]]:
        made = self._cache.open(name)
        if made >= 0:
            try:
                return self._ask([made, made], name, part, made=True, seconds=LOOKUP_SECONDS)
            except (ValueError, EOFError):
                self._cache.remove(name)  # damaged, or of another version
            finally:
                os.close(made)
        target, path = self._cache.create(name)
        try:
            found = self._ask([source, target], name, part, made=False, seconds=self._make_seconds)
        except BaseException:
            self._cache.drop(path)
            raise
        finally:
            os.close(target)
        self._cache.keep(path, name)
        return found

    def _ask(
        self, descriptors: list[int], name: str, part: list[int], *, made: bool, seconds: float
    ) -> list[tuple[Location, ...]]:
        channel = self._running()
        channel.settimeout(seconds)
        deadline = time.monotonic() + seconds
        request = json.dumps({"key": name, "made": made, "addresses": part}).encode()
        try:
            socket.send_fds(channel, [LENGTH.pack(len(request))], descriptors)
            channel.sendall(request)
            answer = json.loads(_answer(channel, deadline))
        except (OSError, EOFError, ValueError, RecursionError):
            self._crashed()
            raise
        if "error" in answer:
            raise ValueError(str(answer["error"]))
        return _locations(answer, len(part))

    def _running(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                # As a file, so that the workbench and what it needs are not imported.
                self._child = subprocess.Popen(
                    [sys.executable, "-P", str(_CHILD), str(number)],
                    pass_fds=[number],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C stops the capture, not this
                )
            self._channel = ours
        return self._channel

    def _crashed(self) -> None:
        child = self._child
        self._end()
        self._crashes += 1
        if child is not None and child.returncode == _NOT_INSTALLED:
            self.status = "missing"
        elif self._crashes >= MAX_FAILURES:
            self.status = "failed"

    def _end(self) -> None:
        channel, child = self._channel, self._child
        self._channel = self._child = None
        if channel is not None:
            try:
                channel.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
            except OSError:
                pass  # the process is gone
        if child is not None:
            try:
                # What ends by itself says why.
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if channel is not None:
            channel.close()


def _answer(channel: socket.socket, deadline: float) -> bytes:
    size = LENGTH.unpack(_receive(channel, LENGTH.size, deadline))[0]
    if size > MAX_ANSWER:
        raise ValueError(f"an answer of {size} bytes")
    return _receive(channel, size, deadline)


def _receive(channel: socket.socket, size: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the process that reads debug information ended")
        parts += part
    return bytes(parts)


def _locations(answer: dict[str, Any], count: int) -> list[tuple[Location, ...]]:
    """Return the locations of an answer, which may hold anything."""
    texts, counts = answer["texts"], answer["counts"]
    names: dict[int, str] = {}
    flat = []
    for function, file, line in answer["locations"]:
        if function not in names:
            names[function] = demangled(str(texts[function]))
        flat.append(Location(names[function], str(texts[file]), int(line)))
    if len(counts) != count or sum(counts) != len(flat) or (counts and min(counts) < 0):
        raise ValueError("an answer to another question")
    found, at = [], 0
    for each in counts:
        found.append(tuple(flat[at : at + each]))
        at += each
    return found


@cache
def _version() -> str:
    """Return the version of the library, whose format may change with it."""
    import importlib.metadata  # 15 ms, and long before the first line is read

    try:
        return importlib.metadata.version("symbolic")
    except importlib.metadata.PackageNotFoundError:
        return "none"
