import ctypes
import os
import random
import shutil
import subprocess

import numpy as np
import pytest
from programs import compiled, running

from workbench.elf import Elf
from workbench.symbols.image import Image, open_mapping, open_regular, read_vdso
from workbench.symbols.mappings import Snapshot, read_maps

SOURCE = """
#include <stdio.h>
int __attribute__((noinline)) work(int x) { return x + 1; }
int main() { printf("work %p\\nready\\n", work); fflush(stdout); getchar(); return work(1); }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("image"), "program", SOURCE, "gcc", "-Wl,--build-id")


def image_of(path, **options):
    descriptor, identity = next(open_regular(str(path)))
    return Image(1, str(path), descriptor, str(path), identity, **options)


def code_of(pid, path):
    mappings = Snapshot.of(read_maps(pid), executable_only=True).mappings
    return next(mapping for mapping in mappings if mapping.path == str(path))


def test_load_once(program):
    image = image_of(program)
    assert image.status == "new"
    assert image.is_open
    image.load()
    assert (image.status, image.is_open) == ("ok", False)
    assert len(image.symbols) > 3
    with Elf.open(program) as elf:
        assert image.build_id == elf.build_id != ""
    symbols = image.symbols
    image.load()
    assert image.symbols is symbols


def test_symbols_are_read_again_after_release(program):
    image = image_of(program)
    image.load()
    count = len(image.symbols)
    image.release()
    assert len(image.symbols) == 0
    image.load()
    assert len(image.symbols) == count
    image.close()


def test_a_replaced_file_is_not_read_again(program, tmp_path):
    copy = tmp_path / "copy"
    shutil.copy(program, copy)
    image = image_of(copy)
    image.close()
    assert not image.is_open
    copy.unlink()
    shutil.copy("/bin/true", copy)
    image.load()
    assert image.status == "unreadable"
    assert len(image.symbols) == 0


def test_what_is_no_elf_file(tmp_path):
    path = tmp_path / "text"
    path.write_text("nonsense " * 100)
    image = image_of(path)
    image.load()
    assert image.status == "malformed"
    assert len(os.listdir("/proc/self/fd")) < 200


def test_addresses_through_segments(program):
    image = image_of(program)
    image.load()
    with running(program) as process:
        mapping = code_of(process.pid, program)
        offset = process.addresses["work"] - mapping.start + mapping.offset
    place = image.addresses(np.array([offset], np.uint64))
    assert image.symbols.name(int(image.symbols.lookup(place)[0])) == "work"
    wild = np.array([2**40, 2**64 - 1], np.uint64)
    assert image.addresses(wild).tolist() == wild.tolist()


def test_the_mapped_file_is_opened_and_no_other(program, tmp_path):
    path = tmp_path / "here"
    shutil.copy(program, path)
    with running(path) as process:
        mapping = code_of(process.pid, path)
        descriptor, identity, _ = open_mapping(process.pid, mapping)
        assert identity.inode == path.stat().st_ino
        os.close(descriptor)
        path.unlink()
        shutil.copy("/bin/true", path)
        # Without map_files (no privilege) the replaced file must not be taken for the mapped one.
        assert open_mapping(process.pid, mapping, tmp_path) is None
        if os.geteuid() == 0:
            gone = code_of(process.pid, path)
            assert gone.deleted
            descriptor, identity, _ = open_mapping(process.pid, gone)
            assert identity.inode == mapping.inode
            os.close(descriptor)
            assert open_mapping(process.pid, gone, tmp_path) is None


def test_a_process_that_is_gone_leaves_its_path(program):
    with running(program) as process:
        mapping = code_of(process.pid, program)
    descriptor, identity, path = open_mapping(process.pid, mapping)
    assert path == str(program)
    assert identity.inode == mapping.inode
    os.close(descriptor)


def test_the_vdso_of_this_process():
    mappings = Snapshot.of(read_maps(os.getpid())).mappings
    mapping = next((each for each in mappings if each.path == "[vdso]"), None)
    if mapping is None:
        pytest.skip("this kernel maps no vdso")
    content = read_vdso(os.getpid(), mapping)
    assert content == ctypes.string_at(mapping.start, mapping.end - mapping.start)
    image = Image(1, "[vdso]", content)
    image.load()
    names = {image.symbols.name(index) for index in range(len(image.symbols))}
    assert any("clock_gettime" in name for name in names)
    assert read_vdso(2**22 + 1, mapping) == b""


def test_debug_sections_are_not_needed(program, tmp_path):
    stripped = tmp_path / "stripped"
    shutil.copy(program, stripped)
    subprocess.run(["strip", stripped], check=True)
    image = image_of(stripped)
    image.load()
    assert image.status == "ok"


def test_damaged_program_headers(program):
    whole = program.read_bytes()
    rng = random.Random(11)
    offsets = np.array([0, 1, 4096, 2**31, 2**63, 2**64 - 1], np.uint64)
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(3):
            at = rng.randrange(64, 64 + 13 * 56)
            data[at : at + 8] = rng.choice((0, 2**63, 2**64 - 1, rng.getrandbits(64))).to_bytes(8)
        image = Image(1, "damaged", bytes(data))
        image.load()
        assert image.status in ("ok", "malformed")
        image.symbols.lookup(image.addresses(offsets))
