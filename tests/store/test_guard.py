from __future__ import annotations

import errno
import os

import polars as pl
import pyarrow as pa
import pytest

from workbench.errors import (
    MissingTableError,
    SessionCorruptError,
    SessionNotFoundError,
    StorageError,
)
from workbench.store.guard import is_special, reading, writing


def fail_reading(error):
    with reading("a.wb", "cpu"):
        raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (pa.ArrowInvalid("x"), SessionCorruptError),
        (pl.exceptions.ComputeError("x"), SessionCorruptError),
        (pl.exceptions.PanicException("x"), SessionCorruptError),
        (MemoryError(), SessionCorruptError),
        (OSError("parquet says so"), SessionCorruptError),
        (PermissionError(13, "Permission denied"), StorageError),
        (FileNotFoundError(2, "No such file"), SessionNotFoundError),
        (MissingTableError("x"), MissingTableError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_reading(error, expected):
    with pytest.raises(expected):
        fail_reading(error)


def test_the_text_names_place_and_cause():
    with pytest.raises(SessionCorruptError, match=r"a\.wb \(cpu\) is damaged") as caught:
        fail_reading(ValueError("bad magic"))
    assert "bad magic" in caught.value.why


def test_writing():
    with pytest.raises(StorageError, match="Free space"), writing("a.wb"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("text", ["[Errno 28] No space", "No space left (os error 28)"])
def test_numbers_that_libraries_tell_in_text(text):
    with pytest.raises(StorageError, match="Free space") as caught, writing("a.csv"):
        raise OSError(text)
    assert caught.value.why == os.strerror(errno.ENOSPC)


def test_what_is_never_replaced(tmp_path):
    file, link, fifo = tmp_path / "file", tmp_path / "link", tmp_path / "fifo"
    file.touch()
    link.symlink_to(file)
    os.mkfifo(fifo)
    (tmp_path / "out").symlink_to("/proc/self/fd/1")
    with file.open() as opened:
        special = [fifo, os.devnull, f"/proc/self/fd/{opened.fileno()}", tmp_path / "out"]
        assert [is_special(each) for each in special] == [True] * 4
    usual = [file, link, tmp_path, tmp_path / "none", "none"]
    assert [is_special(each) for each in usual] == [False] * 5
