import os
import shutil

import pytest
from programs import compiled, running

from workbench.symbols import image_cache
from workbench.symbols.image_cache import ImageCache
from workbench.symbols.mappings import Snapshot, read_maps

SOURCE = '#include <stdio.h>\nint main() { puts("ready"); fflush(stdout); getchar(); }'


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("cache"), "program", SOURCE, "gcc")


def mappings_of(pid):
    return Snapshot.of(read_maps(pid), executable_only=True).mappings


def test_processes_share_images(program):
    cache = ImageCache()
    before = len(os.listdir("/proc/self/fd"))
    with running(program) as one, running(program) as two:
        images = [
            {m.path: cache.find(process.pid, m) for m in mappings_of(process.pid) if m.is_file}
            for process in (one, two)
        ]
        assert images[0] == images[1]
        assert images[0][str(program)].path == str(program)
        vdso = [m for m in mappings_of(one.pid) if m.path == "[vdso]"]
        assert all(cache.find(one.pid, m) is cache.find(two.pid, m) for m in vdso)
    assert len(cache) == len(images[0]) + len(vdso)
    cache.close()
    assert len(os.listdir("/proc/self/fd")) == before
    # Closed, but not lost.
    image = images[0][str(program)]
    cache.load(image)
    assert image.status == "ok"


def test_files_open_at_once_are_bounded(monkeypatch, program):
    monkeypatch.setattr(image_cache, "MAX_OPEN", 1)
    cache = ImageCache()
    with running(program) as process:
        images = [cache.find(process.pid, m) for m in mappings_of(process.pid) if m.is_file]
    assert sum(image.is_open for image in images) == 1
    for image in images:
        cache.load(image)
        assert image.status == "ok"


def test_symbols_in_memory_are_bounded(monkeypatch, program):
    cache = ImageCache()
    with running(program) as process:
        images = [cache.find(process.pid, m) for m in mappings_of(process.pid) if m.is_file]
    for image in images:
        cache.load(image)
    sizes = [len(image.symbols) for image in images]
    assert min(sizes) > 0
    monkeypatch.setattr(image_cache, "MAX_SYMBOLS", max(sizes))
    cache.load(images[0])
    assert len(images[0].symbols) == sizes[0]
    assert sum(len(image.symbols) for image in images) <= max(sizes)
    cache.load(images[-1])
    assert len(images[-1].symbols) == sizes[-1]


def test_what_is_out_of_reach(program, tmp_path):
    path = tmp_path / "gone"
    shutil.copy(program, path)
    cache = ImageCache(tmp_path)
    with running(path) as process:
        path.unlink()
        found = {m.path: cache.find(process.pid, m) for m in mappings_of(process.pid)}
    assert found[str(path)] is None
    assert cache.missing == 1
    assert found.get("[vdso]") is None
    assert found.get("[vsyscall]") is None
