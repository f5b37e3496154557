"""OTLP's profiles, from files, as a profile that a session can be made of.

Files are read request by request, some of them at a time: as JSON lines, as protobuf after its
length (both are what the collector's file exporter and :mod:`workbench.formats.otlp.file` write),
as one JSON object, or as one message of type ``ProfilesData``. No package of OpenTelemetry is
needed for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.json_messages import JsonMessages
from workbench.formats.otlp.reading.messages import Messages, WireMessages, damaged
from workbench.formats.otlp.reading.profile_schema import ProfilesData
from workbench.formats.otlp.reading.read_batch import Batch
from workbench.formats.otlp.reading.read_merge import merged
from workbench.formats.otlp.reading.read_profiles import MAX_ROWS, batch
from workbench.formats.pprof import decode
from workbench.profiles.content import LIMIT, blocks, whole
from workbench.profiles.json_text import parsed
from workbench.profiles.profile import Profile

MAX_MESSAGE = 1 << 26
"""Bytes of one request; receivers take 4 MiB, and collectors at most 20."""
MAX_REQUESTS = 1 << 20
_AT_ONCE = 1 << 24
"""Bytes of requests that are read at once, and at least one."""
LENGTH_BEFORE = struct.Struct(">I")


def read_json(file: IO[bytes]) -> Profile:
    """Read OTLP JSON: requests as lines, those of other signals are passed over; or one object.

    Raises
    ------
    ImportFormatError
        It is none, damaged, larger than can be read, or holds no profiles.
    """
    return _read(JsonMessages(each) for each in _parts(_objects(file)))


def read_protobuf(file: IO[bytes]) -> Profile:
    """Read protobuf: requests after their length, or one message.

    Raises
    ------
    ImportFormatError
        It is none, damaged, larger than can be read, or holds no profiles.
    """
    return _read(_wire(file))


def _read(found: Iterator[Messages]) -> Profile:
    batches: list[Batch] = []
    room = MAX_ROWS
    try:
        for requests in found:
            one = batch(requests, room)
            if one is not None:
                batches.append(one)
                room -= sum(len(rows.ts) for rows in one.rows.values())
    except ImportFormatError as error:
        if error.what == decode.WHAT:  # what reads protobuf was made for pprof
            raise damaged(error.why.removesuffix(".")) from error
        raise
    if not batches:
        raise ImportFormatError(
            "The file holds no OTLP profiles.",
            why="Of OTLP's other signals nothing can be imported.",
        )
    return merged(batches)


def _wire(file: IO[bytes]) -> Iterator[Messages]:
    content = whole(file, LIMIT >> 1)
    data = np.frombuffer(content, np.uint8)
    if content[:1] and content[0] > MAX_MESSAGE >> 24:
        yield WireMessages(data, np.array([0]), np.array([len(data)]))
        return
    starts, ends = _delimited(content)
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + _AT_ONCE, "right")))
        yield WireMessages(data, starts[first:last], ends[first:last])
        first = last


def _delimited(content: bytes) -> tuple[Any, Any]:
    """Return where messages begin and end that come after their length."""
    starts, ends, at = [], [], 0
    while at < len(content):
        if at + LENGTH_BEFORE.size > len(content):
            raise damaged("it ends in the middle of a message")
        size = LENGTH_BEFORE.unpack_from(content, at)[0]
        at += LENGTH_BEFORE.size
        if size > MAX_MESSAGE:
            raise damaged(f"a message claims {size:,} bytes; at most {MAX_MESSAGE:,} are read")
        if at + size > len(content):
            raise damaged("it ends in the middle of a message")
        starts.append(at)
        at += size
        ends.append(at)
        if len(starts) > MAX_REQUESTS:
            raise damaged(f"it has more than {MAX_REQUESTS:,} messages")
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _objects(file: IO[bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the JSON objects of a file that hold profiles, and the bytes that each takes."""
    for number, line in enumerate(filter(bytes.strip, _lines(file))):
        if number >= MAX_REQUESTS:
            raise damaged(f"it has more than {MAX_REQUESTS:,} lines")
        if number and not _tells_profiles(line):
            continue
        try:
            found = _parsed(line)
        except ImportFormatError:
            if number:
                raise
            found = _parsed(whole(file, MAX_MESSAGE))  # one object on several lines
            yield from [(found, len(line))] if _has_profiles(found) else []
            return
        if _has_profiles(found):
            yield found, len(line)


def _has_profiles(found: dict[str, Any]) -> bool:
    return bool(found.get(ProfilesData.RESOURCE_PROFILES.json))


def _tells_profiles(line: bytes) -> bool:
    """Return whether a line may hold profiles: others are not taken apart, which takes long."""
    plain = line.strip()
    if not (plain.startswith(b"{") and plain.endswith(b"}")):
        raise damaged("a line is no object, or breaks off")
    return ProfilesData.RESOURCE_PROFILES.json.encode() in line


def _parsed(text: bytes) -> dict[str, Any]:
    found = parsed(text)
    if not isinstance(found, dict):
        raise damaged("what is to be a request is no object")
    return found


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, which may be long."""
    parts: list[bytes] = []
    size = ends = 0
    for block in blocks(file, LIMIT):
        ends += block.count(b"\n")
        if ends > MAX_REQUESTS:  # empty ones count, too: there may be a billion of them
            raise damaged(f"it has more than {MAX_REQUESTS:,} lines")
        *full, rest = block.split(b"\n")
        for line in full:
            yield b"".join([*parts, line])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > MAX_MESSAGE:
            raise ImportFormatError(
                "The file has a line that is too long.",
                why=f"At most {MAX_MESSAGE:,} bytes are read.",
            )
    yield b"".join(parts)


def _parts(objects: Iterator[tuple[dict[str, Any], int]]) -> Iterator[list[dict[str, Any]]]:
    """Yield objects, as many at a time as make a part of bounded size."""
    part: list[dict[str, Any]] = []
    size = 0
    for found, length in objects:
        part.append(found)
        size += length
        if size >= _AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
