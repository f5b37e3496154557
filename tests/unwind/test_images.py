"""What a process runs, found through its mappings."""

import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.symbols.mappings import Mapping
from workbench.unwind.images import VDSO, ImageKey, images_of, place_of


def found(pid, **options):
    """Images by path; their files are closed."""
    images = {}
    for image in images_of(pid, **options):
        images[image.mapping.path] = image
        image.close()
    return images


def test_this_process():
    images = found(os.getpid())
    assert os.path.realpath(sys.executable) in images
    assert any("/libc.so" in path or "/libc-" in path for path in images)
    for path, image in images.items():
        if path != VDSO:
            status = os.stat(path)
            assert (image.key.inode, image.key.size) == (status.st_ino, status.st_size)
            assert place_of(image.mapping) == (image.key.device, image.key.inode)
    vdso = images[VDSO]
    assert vdso.source[:4] == b"\x7fELF"
    assert vdso.key == ImageKey(0, vdso.mapping.end - vdso.mapping.start, 0)


def test_only_what_is_wanted():
    libc = found(os.getpid(), wanted=lambda mapping: "libc" in mapping.path)
    assert all("libc" in path for path in libc)
    assert libc


@pytest.mark.skipif(os.geteuid() != 0, reason="map_files needs privilege")
def test_a_deleted_file(tmp_path):
    copy = tmp_path / "sleeper"
    shutil.copy(shutil.which("sleep"), copy)
    with subprocess.Popen([copy, "60"]) as process:
        inode = copy.stat().st_ino
        while str(copy) not in found(process.pid):  # it is still being mapped
            time.sleep(0.01)
        copy.unlink()
        image = found(process.pid)[str(copy)]
        assert image.key.inode == inode
        assert image.mapping.deleted
        process.kill()


def test_a_library_that_is_mapped_here(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"code".ljust(5000))
    with file.open("rb") as handle:
        area = mmap.mmap(handle.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    image = found(os.getpid())[str(file)]
    assert (image.key.inode, image.key.size) == (file.stat().st_ino, 5000)
    area.close()
    assert str(file) not in found(os.getpid())


def test_processes_that_are_gone(tmp_path):
    assert found(2**22 + 1) == {}
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "maps").write_text("1000-2000 r-xp 0 08:01 77 /nowhere\nnonsense\n")
    assert list(images_of(5, proc=tmp_path)) == []


def test_packed_as_the_program_reads_it():
    mapping = Mapping(0, 1, True, 0, (8, 3), 77, "/x", False)
    assert place_of(mapping) == (8 << 20 | 3, 77)
    assert ImageKey(77, 4096, 8 << 20 | 3).packed() == struct.pack("<QQII", 77, 4096, 0x800003, 0)
    assert len(ImageKey(1, 1, 1).packed()) == 24


def test_paths_are_those_of_maps():
    text = Path("/proc/self/maps").read_text()
    assert all(path in text for path in found(os.getpid()))
