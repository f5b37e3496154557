from __future__ import annotations

import os
import threading

import pytest

from workbench.errors import CancelledError
from workbench.formats._watched import WatchedFile


def opened(path, *arguments):
    return WatchedFile(os.open(path, os.O_WRONLY | os.O_CREAT), *arguments)


def test_progress_is_what_was_written_so_far(tmp_path):
    told = []
    with opened(tmp_path / "a", told.append) as file:
        assert file.write(b"abc") == 3
        assert file.write(memoryview(b"defgh")) == 5
        assert file.written == 8
    assert told == [3, 8]
    assert (tmp_path / "a").read_bytes() == b"abcdefgh"


def test_a_cancelled_file_takes_no_more(tmp_path):
    cancel = threading.Event()
    file = opened(tmp_path / "a", None, cancel)
    file.write(b"abc")
    assert not file.stopped
    cancel.set()
    for _ in range(2):
        with pytest.raises(CancelledError):
            file.write(b"def")
    assert file.stopped
    assert file.written == 3
    file.close()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_the_descriptor_is_taken_over(tmp_path):
    descriptor = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    WatchedFile(descriptor).close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
