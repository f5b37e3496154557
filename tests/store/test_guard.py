from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from workbench.errors import (
    MissingTableError,
    SessionCorruptError,
    SessionNotFoundError,
    StorageError,
)
from workbench.store.guard import reading, writing


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
