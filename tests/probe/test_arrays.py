"""Arrays made at run time, and their place in an array of maps."""

import errno
import os
import threading

import numpy as np
import pytest
from compile_bpf import PROGRAM, bpf_descriptors, compile_bpf

from workbench.errors import MapError, NotPermittedError
from workbench.probe import arrays as module
from workbench.probe.arrays import InnerMaps, create_array, set_inner_maps
from workbench.probe.objects import Object

pytestmark = pytest.mark.kernel
# A program that looks up element 3 of inner map 1; its array of maps is like wb_rows.
SOURCE = """
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP); __uint(max_entries, 1);
    __uint(key_size, 4); __uint(value_size, 16); };
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, __u32);
    __array(values, struct inner); } outer SEC(".maps");
__u64 seen;
SEC("raw_tp/sys_enter") int look(void *ctx)
{
    __u32 one = 1, three = 3;
    void *inner = bpf_map_lookup_elem(&outer, &one);
    __u64 *value = inner ? bpf_map_lookup_elem(inner, &three) : 0;
    if (value) seen = value[1];
    return 0;
}
"""


@pytest.fixture
def obj(tmp_path):
    with Object(compile_bpf(tmp_path, SOURCE + PROGRAM)) as obj:
        obj.load()
        yield obj
    assert bpf_descriptors() == []


def seen(obj):
    with_link = obj.attach(obj.programs["look"])
    os.getppid()
    with_link.close()
    return int(obj.maps[".bss"].memory().view(np.uint64)[0])


def test_a_program_finds_what_was_put_in(obj):
    data = np.arange(10, dtype=np.uint64).reshape(5, 2)
    fds = {i: create_array(data + np.uint64(100 * i)) for i in (1, 3)}
    set_inner_maps(obj.maps["outer"], fds)
    for fd in fds.values():
        os.close(fd)  # the outer map keeps them
    assert seen(obj) == 107
    fd = create_array(data + np.uint64(1000))
    set_inner_maps(obj.maps["outer"], {1: fd})
    os.close(fd)
    assert seen(obj) == 1007
    assert obj.maps["outer"].delete((1).to_bytes(4, "little"))
    assert not obj.maps["outer"].delete((1).to_bytes(4, "little"))
    set_inner_maps(obj.maps["outer"], {})


def test_changes_that_are_waited_for_elsewhere(obj):
    data = np.arange(10, dtype=np.uint64).reshape(5, 2)
    inner = InnerMaps(obj.maps["outer"])
    for round_ in range(3):
        inner.set({1: create_array(data + np.uint64(100 * round_))})
        inner.finish()
        assert seen(obj) == 100 * round_ + 7
    inner.delete([1, 2])
    inner.finish()
    assert obj.maps["outer"].lookup((1).to_bytes(4, "little")) is None
    inner.delete([9])  # of four
    with pytest.raises(MapError, match="written"):
        inner.finish()
    inner.set({})
    inner.set({4: create_array(data)})
    with pytest.raises(MapError, match="cannot be put"):
        inner.finish()
    inner.set({1: create_array(data)})
    inner.close()
    inner.close()
    assert seen(obj) == 7


def test_it_is_busy_while_as_many_wait_as_may(obj, monkeypatch):
    go, inner = threading.Event(), InnerMaps(obj.maps["outer"])
    monkeypatch.setattr(module, "set_inner_maps", lambda *_: go.wait(20))
    data = np.zeros((1, 2), np.uint64)
    for _ in range(module.MAX_WAITS):
        assert not inner.busy
        inner.set({1: create_array(data)})
    assert inner.busy
    go.set()
    inner.finish()
    assert not inner.busy
    inner.close()


def test_what_does_not_fit_is_an_error(obj, monkeypatch):
    fd = create_array(np.zeros((1, 3), np.uint64))  # values of another size
    with pytest.raises(MapError, match="cannot be put"):
        set_inner_maps(obj.maps["outer"], {1: fd})
    os.close(fd)
    with pytest.raises(MapError, match="cannot be made"):
        create_array(np.zeros((0, 2), np.uint64))
    monkeypatch.setattr(module.mmap, "mmap", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(MapError, match="filled"):
        create_array(np.zeros((1, 2), np.uint64))
    error = module._error("What.", errno.EPERM)
    assert isinstance(error, NotPermittedError)
