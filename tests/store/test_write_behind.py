"""Old pages of a growing file leave memory; its end and every byte of it stay."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest
import synthetic

from workbench.store import write_behind
from workbench.store.reader import open_store
from workbench.store.write_behind import WriteBehind
from workbench.store.writer import SessionWriter

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


@pytest.fixture
def place(tmp_path):
    """A folder whose file system can drop pages: tmpfs and ramfs have nowhere else for them."""
    probe = tmp_path / "probe"
    probe.write_bytes(bytes(PAGE))
    with probe.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, PAGE, os.POSIX_FADV_DONTNEED)
    if any(resident(probe)):
        pytest.skip("the file system of the temporary folder keeps its files in memory")
    return tmp_path


def written_out(path):
    """Stand for the time that the kernel's writers take."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def test_old_pages_leave_memory_and_the_end_stays(small, place):
    path, content = place / "t.arrows", os.urandom(160 * PAGE)
    path.touch()
    behind = WriteBehind(str(path))
    with open(path, "ab", buffering=0) as file:
        for start in range(0, len(content), 16 * PAGE):
            file.write(content[start : start + 16 * PAGE])
            behind.grown(file.tell())
            written_out(path)
    behind.close()
    pages = resident(path)
    assert not any(pages[: 160 - 64 - 16])
    assert all(pages[-16:])
    assert path.read_bytes() == content


def test_a_session_gives_up_old_pages_and_no_rows(small, place):
    writer = SessionWriter.create(place / "a.wb", synthetic.manifest(("cpu",), 0, 0))
    stream = place / "a.wb" / "cpu.arrows"
    batch = synthetic.batch_of("cpu", synthetic.truth(("cpu",), 1_000).columns["cpu"])
    for _ in range(60):
        writer.append("cpu", batch)
        written_out(stream)
    pages = resident(stream)
    assert len(pages) > 200
    assert not any(pages[: len(pages) // 4])
    writer.finish()
    assert open_store(place / "a.wb").sources["cpu"].num_rows == 60 * batch.num_rows


def test_each_piece_is_named_when_new_and_when_old(small, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: told.append(given[1:3]))
    path = tmp_path / "t"
    path.touch()
    behind = WriteBehind(str(path))
    behind.grown(15 * PAGE)
    assert told == []
    behind.grown(6 * 16 * PAGE)
    behind.close()
    piece = 16 * PAGE
    assert all(length == piece for _, length in told)
    offsets = [offset // piece for offset, _ in told]
    assert sorted(offsets) == [0, 0, 1, 1, 2, 3, 4, 5]
    assert offsets.index(5) > offsets.index(4)


def test_files_that_take_no_advice(small):
    reading, writing = os.pipe()  # posix_fadvise(2): ESPIPE
    behind = WriteBehind(f"/proc/self/fd/{reading}")
    behind.grown(1 << 24)
    behind.close()
    os.close(reading)
    os.close(writing)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        WriteBehind(str(tmp_path / "none"))
