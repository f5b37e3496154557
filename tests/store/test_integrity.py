from __future__ import annotations

import io
import zlib

import pytest

from workbench.errors import SessionCorruptError
from workbench.store.integrity import Checksummed, check_crc


def test_checksum_of_what_was_written():
    sink = io.BytesIO()
    file = Checksummed(sink)
    for part in (b"abc", b"", b"defg"):
        assert file.write(part) == len(part)
    assert file.crc == zlib.crc32(sink.getvalue()) == zlib.crc32(b"abcdefg")
    check_crc("a", "b", b"abcdefg", file.crc)
    with pytest.raises(SessionCorruptError, match="CRC"):
        check_crc("a", "b", b"abcdefh", file.crc)
