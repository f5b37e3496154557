"""The directory of a zip file, read without trusting it.

Layout and numbers are those of PKWARE's APPNOTE.TXT 6.3.10: the end of central directory record
(4.3.16), its zip64 form (4.3.14, 4.3.15), central (4.3.12) and local (4.3.7) file headers.
A saved session has few members, all stored; everything else is refused: compression,
encryption, data descriptors, comments at the end, several disks, overlapping members.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from workbench.errors import SessionCorruptError

MAX_MEMBERS = 65
MAX_DIRECTORY = 1 << 16

_END = struct.Struct("<4s4HIIH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_NOT_HERE = 0xFFFFFFFF
_REFUSED_FLAGS = 0x0001 | 0x0008 | 0x0040 | 0x2000
"""Encrypted, sizes after the data, strongly encrypted, masked headers (APPNOTE 4.4.4)."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's bytes stand.

    Parameters
    ----------
    name : str
        Its name.
    start, size : int
        Offset of its first byte in the file, and number of bytes.
    crc : int
        CRC-32 of the bytes as the file claims it.
    """

    name: str
    start: int
    size: int
    crc: int


def members(data: memoryview) -> dict[str, Member]:
    """Return the members of a zip file by name, in the order of the file.

    Parameters
    ----------
    data : memoryview of bytes
        The whole file.

    Raises
    ------
    SessionCorruptError
        The file is no zip file, or one that :func:`workbench.store.archive.pack` never writes.
    """
    try:
        return _members(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise _refused(f"a header is cut off or no text ({error})") from error


def _members(data: memoryview) -> dict[str, Member]:
    count, size, offset = _directory(data)
    if count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise _refused(f"{count} members, a directory of {size} bytes")
    if offset + size > len(data):
        raise _refused("the directory stands outside the file")
    found: dict[str, Member] = {}
    used = 0
    at = offset
    for _ in range(count):
        member, local, at = _central(data, at, offset + size)
        if member.name in found:
            raise _refused(f"two members are named {member.name!r}")
        member = _checked_local(data, member, local)
        if local < used or member.start + member.size > offset:
            raise _refused(f"{member.name!r} overlaps another member or the directory")
        used = member.start + member.size
        found[member.name] = member
    if at != offset + size:
        raise _refused("the directory has another size than it says")
    return found


def _directory(data: memoryview) -> tuple[int, int, int]:
    """Return number of members, size and offset of the central directory."""
    if len(data) < _END.size:
        raise _refused("it is too short for a zip file")
    end = len(data) - _END.size
    mark, disk, disk2, here, count, size, offset, comment = _END.unpack_from(data, end)
    if mark != b"PK\5\6" or comment:
        raise _refused("it does not end as a session does")
    if _NOT_HERE in (size, offset) or count == 0xFFFF:
        disk, disk2, here, count, size, offset = _directory64(data, end)
    if disk or disk2 or here != count:
        raise _refused("it spans several disks")
    return count, size, offset


def _directory64(data: memoryview, end: int) -> tuple[int, int, int, int, int, int]:
    at = end - _END64_LOCATOR.size
    if at < 0:
        raise _refused("no zip64 locator")
    mark, _, position, _ = _END64_LOCATOR.unpack_from(data, at)
    if mark != b"PK\6\7" or position > at - _END64.size:
        raise _refused("no zip64 locator")
    record = _END64.unpack_from(data, position)
    if record[0] != b"PK\6\6":
        raise _refused("no zip64 record")
    disk, disk2, here, count, size, offset = record[4:]
    return disk, disk2, here, count, size, offset


def _central(data: memoryview, at: int, end: int) -> tuple[Member, int, int]:
    """Return a member (its start not yet known), its local header, and the next entry."""
    header = _CENTRAL.unpack_from(data, at)
    mark, _, _, flags, method, _, _, crc, packed, size, n, extra, comment = header[:13]
    local = header[16]
    stop = at + _CENTRAL.size + n + extra + comment
    if mark != b"PK\1\2" or stop > end:
        raise _refused("an entry of the directory is damaged")
    name = bytes(data[at + _CENTRAL.size : at + _CENTRAL.size + n]).decode("ascii")
    if flags & _REFUSED_FLAGS or method:
        raise _refused(f"{name!r} is compressed, encrypted or streamed")
    start = at + _CENTRAL.size + n
    size, packed, local = _wide(data[start : start + extra], [size, packed, local])
    if size != packed:
        raise _refused(f"{name!r} has two sizes")
    return Member(name, 0, size, crc), local, stop


def _wide(extra: memoryview, values: list[int]) -> list[int]:
    """Replace values that do not fit 32 bits by those of the zip64 field (APPNOTE 4.5.3)."""
    if _NOT_HERE not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            return [next(wide, value) if value == _NOT_HERE else value for value in values]
        at += 4 + length
    return values


def _checked_local(data: memoryview, member: Member, at: int) -> Member:
    """Compare the local header with the directory; return the member with its start."""
    header = _LOCAL.unpack_from(data, at)
    mark, _, flags, method, _, _, crc, packed, size, n, extra = header
    name = bytes(data[at + _LOCAL.size : at + _LOCAL.size + n])
    start = at + _LOCAL.size + n
    size, packed = _wide(data[start : start + extra], [size, packed])
    same = (crc, packed, size, name) == (
        member.crc,
        member.size,
        member.size,
        member.name.encode(),
    )
    if mark != b"PK\3\4" or flags & _REFUSED_FLAGS or method or not same:
        raise _refused(f"{member.name!r} has a header that contradicts the directory")
    return Member(member.name, start + extra, member.size, member.crc)


def _refused(why: str) -> SessionCorruptError:
    return SessionCorruptError("The file is no session, or a damaged one.", why=why)
