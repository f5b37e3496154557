"""Maps of all common types: read, written, in batches; wrong sizes never reach the kernel."""

import ctypes
import errno
import struct

import numpy as np
import pytest
from compile_bpf import PROGRAM, bpf_descriptors, compile_bpf

from workbench.errors import MapError
from workbench.probe import map_access
from workbench.probe.map_access import EXIST, NOEXIST, possible_cpus
from workbench.probe.objects import Object

pytestmark = pytest.mark.kernel
MAPS = """
#define MAP(name, kind, size, k, v, flags) struct { __uint(type, BPF_MAP_TYPE_##kind); \\
    __uint(max_entries, size); __type(key, k); __type(value, v); __uint(map_flags, flags); \\
    } name SEC(".maps")
struct prefix { __u32 length; __u8 address[4]; };
MAP(hash, HASH, 5000, __u32, __u64, 0);
MAP(array, ARRAY, 16, __u32, __u64, 0);
MAP(lru, LRU_HASH, 64, __u32, __u64, 0);
MAP(percpu, PERCPU_HASH, 64, __u32, __u32, 0);
MAP(lru_percpu, LRU_PERCPU_HASH, 64, __u32, __u32, 0);
MAP(lpm, LPM_TRIE, 64, struct prefix, __u64, BPF_F_NO_PREALLOC);
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 8); __type(value, __u64); }
    queue SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 8); __type(value, __u64); }
    stack SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(max_entries, 64);
    __uint(key_size, 4); __uint(value_size, 64); } stacks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return compile_bpf(tmp_path_factory.mktemp("bpf"), MAPS + PROGRAM)


@pytest.fixture
def maps(path):
    with Object(path) as obj:
        obj.load()
        yield obj.maps
    assert bpf_descriptors() == []


def u64(n):
    return struct.pack("<Q", n)


def table(dtype, *rows):
    return np.array(list(rows), dtype).view(np.uint8).reshape(len(rows), -1)


@pytest.mark.parametrize("name", ["hash", "lru", "percpu", "lru_percpu", "lpm"])
@pytest.mark.parametrize("batches", [True, False])
def test_many_at_once(maps, name, batches, monkeypatch):
    target = maps[name]
    if not batches:  # as a kernel that has none for this type says it
        without = NoBatches(map_access.lib())
        monkeypatch.setattr(map_access, "lib", lambda: without)
    count = target.stride // 4
    keys = [(32, i) if name == "lpm" else i for i in range(20)]
    dtype = [("length", "<u4"), ("a", "<u4")] if name == "lpm" else "<u4"
    packed = table(dtype, *keys)
    values = table("<u4", *[[i + 1] * count for i in range(20)])
    target.update_batch(packed, values)
    k, v = target.items()
    got = {a.tobytes(): b.tobytes() for a, b in zip(k, v, strict=True)}
    size = target.value_size
    assert {a.tobytes() for a in packed} == set(got)
    for key, value in zip(packed, values, strict=True):
        assert got[key.tobytes()][:size] == value.tobytes()[:size]
    gone = np.concatenate([packed[:3], table(dtype, (32, 999) if name == "lpm" else 999)])
    assert target.delete_batch(np.concatenate([gone, packed[3:5]])) == 5
    assert len(target.items()[0]) == 15


class NoBatches:
    """libbpf on a kernel without batches."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        if not name.endswith("_batch"):
            return getattr(self._real, name)
        return self.refuse

    def refuse(self, *_):
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -errno.EOPNOTSUPP


def test_an_lru_forgets_rather_than_refuses(maps):
    for i in range(1000):
        maps["lru"].update(struct.pack("<I", i), u64(i))
    keys, values = maps["lru"].items()
    assert 0 < len(keys) <= 64
    assert (keys.view("<u4").ravel() == values.view("<u8").ravel()).all()


def test_flags(maps):
    key = struct.pack("<I", 1)
    with pytest.raises(MapError, match="ENOENT") as caught:
        maps["hash"].update(key, u64(1), EXIST)
    maps["hash"].update(key, u64(1), NOEXIST)
    with pytest.raises(MapError, match="EEXIST") as caught:
        maps["hash"].update(key, u64(2), NOEXIST)
    assert "written" in caught.value.what
    assert maps["hash"].lookup(key) == u64(1)


def test_queues_and_stacks(maps):
    for name, order in (("queue", [1, 2, 3]), ("stack", [3, 2, 1])):
        target = maps[name]
        assert target.peek() is None
        assert target.pop() is None
        for number in (1, 2, 3):
            target.push(u64(number))
        assert target.peek() == u64(order[0])
        assert [target.pop() for _ in range(4)] == [*map(u64, order), None]
        for number in range(8):
            target.push(u64(number))
        with pytest.raises(MapError, match="written") as caught:
            target.push(u64(8))
        assert "E2BIG" in caught.value.why
        with pytest.raises(MapError, match="value of 8 bytes, not 4"):
            target.push(b"1234")


def test_only_queues_are_pushed_to(maps):
    for act in (lambda: maps["hash"].push(u64(1)), maps["array"].pop, maps["lpm"].peek):
        with pytest.raises(MapError, match="neither a queue nor a stack"):
            act()


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((2, 8), np.uint8)),
        (np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)),
        (np.zeros((2, 4), np.uint8), np.zeros((3, 8), np.uint8)),
        (np.zeros((2, 4), np.uint32), np.zeros((2, 8), np.uint8)),
        (np.zeros(8, np.uint8), np.zeros((2, 8), np.uint8)),
    ],
)
def test_batches_of_another_shape(maps, keys, values):
    with pytest.raises(MapError):
        maps["hash"].update_batch(keys, values)
    assert len(maps["hash"].items()[0]) == 0


def test_empty_batches(maps):
    nothing = np.zeros((0, 4), np.uint8)
    maps["hash"].update_batch(nothing, np.zeros((0, 8), np.uint8))
    assert maps["hash"].delete_batch(nothing) == 0


def test_a_batch_that_does_not_fit(maps):
    count = 5001
    keys = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)
    with pytest.raises(MapError) as caught:
        maps["hash"].update_batch(keys, np.zeros((count, 8), np.uint8))
    assert caught.value.advice == "It is full: 5000 entries."


def test_stacks_are_read_one_by_one(maps):
    keys, values = maps["stacks"].items()
    assert keys.shape == (0, 4)
    assert values.shape == (0, 64)


def test_rows_of_each_cpu(maps):
    assert maps["percpu"].stride == 8 * possible_cpus()
    assert maps["hash"].stride == 8
