"""Memory of processes: exactly what was asked for, or nothing."""

import ctypes
import mmap
import os
import subprocess
import sys

from workbench.pystacks.memory import MAX_READ, ProcessMemory


def test_reads_of_this_process():
    block = ctypes.create_string_buffer(b"some bytes", 4096)
    address = ctypes.addressof(block)
    with ProcessMemory(os.getpid()) as memory:
        assert memory.read(address, 10) == b"some bytes"
        assert memory.word(address) == int.from_bytes(b"some byt", "little")
        memory.close()
        memory.close()
        assert memory.read(address, 10) == b""
        assert memory.word(address) == 0


def test_what_cannot_be_read_is_empty():
    block = ctypes.create_string_buffer(16)
    address = ctypes.addressof(block)
    with ProcessMemory(os.getpid()) as memory:
        for place in (0, -1, 1, 1 << 47, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            assert memory.read(place, 8) == b""
        for size in (0, -1, MAX_READ + 1, 1 << 63):
            assert memory.read(address, size) == b""


def test_reads_that_end_in_a_hole():
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.munmap(ctypes.c_void_p(start + page), page) == 0
    with ProcessMemory(os.getpid()) as memory:
        assert len(memory.read(start, page)) == page
        assert memory.read(start + page - 4, 8) == b""


def test_processes_that_have_gone():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert ProcessMemory(process.pid).read(1 << 20, 8) == b""
    assert ProcessMemory(1 << 22).read(1 << 20, 8) == b""
