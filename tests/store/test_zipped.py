from __future__ import annotations

import io
import struct
import zipfile

import pytest

from workbench.errors import SessionCorruptError
from workbench.store.zipped import MAX_MEMBERS, members


def zipped(content, method=zipfile.ZIP_STORED, comment=b""):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as file:
        file.comment = comment
        for name, data in content:
            file.writestr(zipfile.ZipInfo(name), data, method)
    return bytearray(sink.getvalue())


def refused(data, why="session"):
    with pytest.raises(SessionCorruptError, match=f"(?s){why}"):
        members(memoryview(data))


GOOD = [("a", b"alpha"), ("b", b""), ("c", b"gamma" * 100)]


def test_members_are_where_they_are():
    data = zipped(GOOD)
    found = members(memoryview(data))
    assert {n: bytes(data[m.start : m.start + m.size]) for n, m in found.items()} == dict(GOOD)


def zip64():
    """A zip whose counts and offsets stand in the zip64 records, as those of large files do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
        data = zipped(GOOD)
    struct.pack_into("<HHII", data, len(data) - 14, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    return data


def test_zip64_end_record():
    data = zip64()
    assert list(members(memoryview(data))) == ["a", "b", "c"]
    for at in (data.rindex(b"PK\6\6"), data.rindex(b"PK\6\7")):
        changed = bytearray(data)
        changed[at] = 0
        refused(changed, "zip64")
    changed = bytearray(data)
    struct.pack_into("<Q", changed, data.rindex(b"PK\6\7") + 8, len(data))
    refused(changed, "zip64")
    refused(data[-22:], "zip64")


def test_wide_numbers_of_a_member():
    data = zipped([("a", b"xy")])
    at = data.index(b"PK\1\2")
    extra = struct.pack("<HHHHQQQ", 0x5455, 0, 1, 24, 2, 2, 0)
    struct.pack_into("<II", data, at + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, at + 30, len(extra))
    struct.pack_into("<I", data, at + 42, 0xFFFFFFFF)
    data[at + 47 : at + 47] = extra
    end = len(data) - 22
    struct.pack_into("<I", data, end + 12, 47 + len(extra))
    assert members(memoryview(data))["a"].size == 2


def test_refuses_what_sessions_never_are():
    refused(zipped(GOOD, zipfile.ZIP_DEFLATED), "compressed")
    refused(zipped(GOOD, comment=b"hello"), "end")
    refused(zipped([(f"n{i}", b"") for i in range(MAX_MEMBERS + 1)]), "members")
    refused(zipped([("é", b"")]))
    refused(b"")
    refused(b"PK\3\4" + b"x" * 100)
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([("a", b"1"), ("a", b"2")])
    refused(twice, "two members")


@pytest.mark.parametrize("flag", [0x1, 0x8, 0x40])
def test_refuses_encrypted_and_streamed_members(flag):
    data = zipped(GOOD)
    struct.pack_into("<H", data, data.index(b"PK\1\2") + 8, flag)
    refused(data, "encrypted")


def test_refuses_overlapping_members():
    data = zipped([("a", b"x" * 50), ("b", b"x" * 50)])
    second = data.rindex(b"PK\1\2")
    struct.pack_into("<I", data, second + 42, 0)  # its local header is that of the first
    data[second + 46 : second + 47] = b"a"
    refused(data)


def test_refuses_members_outside_of_the_file():
    data = zipped([("a", b"x" * 50)])
    for at in (data.index(b"PK\1\2") + 20, 18):
        struct.pack_into("<II", data, at, 5000, 5000)
    refused(data, "overlaps")


def test_every_cut_and_every_byte():
    data = zipped(GOOD)
    good = members(memoryview(data))
    for length in range(len(data)):
        refused(data[:length])
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        try:
            found = members(memoryview(changed))
        except SessionCorruptError:
            continue
        assert found == good  # dates, attributes, and the contents themselves
