"""Old pages of a growing file leave memory; its end and every byte of it stay."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest

from workbench.store import write_behind
from workbench.store.write_behind import WriteBehind

PAGE = mmap.PAGESIZE


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(write_behind, "STEP", 16 * PAGE)
    monkeypatch.setattr(write_behind, "KEPT", 64 * PAGE)


def resident(path):
    """Which pages of a file are in memory: mincore(2) of a mapping that touches none of them."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = pointer = ctypes.c_void_p
    libc.mmap.argtypes = [pointer, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mincore.argtypes = [pointer, ctypes.c_size_t, pointer]
    libc.munmap.argtypes = [pointer, ctypes.c_size_t]
    size = os.path.getsize(path)
    found = (ctypes.c_ubyte * (size // PAGE))()
    with open(path, "rb") as file:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    assert libc.mincore(address, size, found) == 0
    libc.munmap(address, size)
    return [bool(page & 1) for page in found]


def grow(path, pages, behind):
    with open(path, "ab", buffering=0) as file:
        for _ in range(pages):
            file.write(os.urandom(PAGE))
            behind.grown(file.tell())
            if file.tell() % (16 * PAGE) == 0:
                os.fsync(file.fileno())  # stands for the time that the kernel's writers take


def gives_pages_up(path):
    """Whether this file system can drop pages at all: tmpfs and ramfs have nowhere else."""
    path.write_bytes(bytes(PAGE))
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, PAGE, os.POSIX_FADV_DONTNEED)
    return not any(resident(path))


def test_old_pages_leave_memory_and_the_end_stays(small, tmp_path):
    if not gives_pages_up(tmp_path / "probe"):
        pytest.skip("the file system of the temporary folder keeps its files in memory")
    path = tmp_path / "t.arrows"
    path.touch()
    behind = WriteBehind(str(path))
    grow(path, 160, behind)
    behind.close()
    pages = resident(path)
    assert not any(pages[: 160 - 64 - 16])
    assert all(pages[-16:])


def test_each_piece_is_named_when_new_and_when_old(small, tmp_path):
    told = []
    path = tmp_path / "t"
    path.touch()
    behind = WriteBehind(str(path), lambda _, offset, length, __: told.append((offset, length)))
    behind.grown(15 * PAGE)
    assert told == []
    behind.grown(6 * 16 * PAGE)
    behind.close()
    piece = 16 * PAGE
    assert all(length == piece for _, length in told)
    offsets = [offset // piece for offset, _ in told]
    assert sorted(offsets) == [0, 0, 1, 1, 2, 3, 4, 5]
    assert offsets.index(5) > offsets.index(4)


def test_advice_that_is_refused_and_two_closes(small, tmp_path):
    def refuse(*_):
        raise OSError(22, "refused")

    path = tmp_path / "t"
    path.touch()
    behind = WriteBehind(str(path), refuse)
    behind.grown(1 << 24)
    behind.close()
    behind.close()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        WriteBehind(str(tmp_path / "none"))
