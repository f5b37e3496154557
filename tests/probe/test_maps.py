"""Maps: sized, shared, read in batches; what does not fit is an error before the kernel sees it."""

import struct

import numpy as np
import pytest
from compile_bpf import PROGRAM, bpf_descriptors, compile_bpf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import MapError, NotPermittedError
from workbench.probe import map_access
from workbench.probe import maps as module
from workbench.probe.clib import lib
from workbench.probe.maps import rows
from workbench.probe.objects import Object

MAPS = """
#define MAP(name, kind, size, k, v) struct { __uint(type, BPF_MAP_TYPE_##kind); \\
    __uint(max_entries, size); __type(key, k); __type(value, v); } name SEC(".maps")
struct pair { __u32 a; __u32 b; __u32 c; };
MAP(small, HASH, 4, __u32, __u64);
MAP(large, HASH, 16384, __u32, struct pair);
MAP(array, ARRAY, 10, __u32, __u64);
MAP(percpu, PERCPU_HASH, 100, __u32, struct pair);
MAP(percpu_array, PERCPU_ARRAY, 3, __u32, __u64);
MAP(same, HASH, 64, __u32, __u64);
MAP(other_key, HASH, 4, __u64, __u64);
MAP(other_type, LRU_HASH, 4, __u32, __u64);
MAP(unused, HASH, 4, __u32, __u64);
int global = 5;
SEC("socket") int uses(void *ctx) { return global; }
"""
KERNEL = pytest.mark.kernel


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return compile_bpf(tmp_path_factory.mktemp("bpf"), MAPS + PROGRAM)


@pytest.fixture
def obj(path):
    with Object(path) as obj:
        yield obj
    assert bpf_descriptors() == []


@pytest.fixture
def loaded(obj):
    obj.load()
    return obj.maps


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def test_what_a_map_says_of_itself(obj):
    large = obj.maps["large"]
    assert (large.type, large.key_size, large.value_size) == (map_access.HASH, 4, 12)
    assert large.max_entries == 16384
    assert large.fd < 0
    large.resize(20_000)
    assert large.max_entries == 20_000


@pytest.mark.parametrize("size", [0, -1, 1 << 32])
def test_sizes_that_no_map_has(obj, size):
    with pytest.raises(MapError, match=f"{size} entries"):
        obj.maps["large"].resize(size)


@KERNEL
def test_a_loaded_map_keeps_its_size(loaded):
    with pytest.raises(MapError, match="cannot be resized"):
        loaded["small"].resize(8)
    with pytest.raises(MapError, match="cannot be left out"):
        loaded["small"].leave_out()


@KERNEL
def test_write_read_delete(loaded):
    small = loaded["small"]
    assert small.fd >= 0
    assert small.lookup(u32(1)) is None
    small.update(u32(1), u64(10))
    small.update(u32(1), u64(11))
    assert small.lookup(u32(1)) == u64(11)
    assert small.delete(u32(1))
    assert not small.delete(u32(1))
    assert small.lookup(u32(1)) is None


@KERNEL
@pytest.mark.parametrize("key", [b"", b"123", b"12345"])
def test_keys_and_values_of_another_size(loaded, key):
    small = loaded["small"]
    for act in (small.lookup, small.delete, lambda k: small.update(k, u64(1))):
        with pytest.raises(MapError, match=f"key of 4 bytes, not {len(key)}"):
            act(key)
    with pytest.raises(MapError, match="value of 8 bytes"):
        small.update(u32(1), key)


@KERNEL
def test_a_full_map_says_so(loaded):
    for i in range(4):
        loaded["small"].update(u32(i), u64(i))
    with pytest.raises(MapError, match="written") as caught:
        loaded["small"].update(u32(4), u64(4))
    assert "E2BIG" in caught.value.why
    assert caught.value.advice == "It is full: 4 entries."


@KERNEL
def test_places_that_an_array_does_not_have(loaded):
    assert loaded["array"].lookup(u32(10)) is None
    with pytest.raises(MapError, match="written"):
        loaded["array"].update(u32(10), u64(1))
    with pytest.raises(MapError, match="EINVAL"):
        loaded["array"].delete(u32(1))


@KERNEL
def test_a_closed_map_is_an_error(path):
    with Object(path) as obj:
        small = obj.maps["small"]  # not loaded: its descriptor is -1
        for act in (lambda: small.lookup(u32(1)), small.items, lambda: small.delete(u32(1))):
            with pytest.raises(MapError, match="EBADF"):
                act()
        with pytest.raises(MapError, match="mapped"):
            small.memory()


@KERNEL
@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 10_000])
def test_items_of_hashes_larger_than_a_batch(loaded, count):
    large = loaded["large"]
    for i in range(count):
        large.update(u32(i), struct.pack("<3I", i, 2 * i, 3 * i))
    keys, values = large.items()
    dtype = np.dtype([("a", "<u4"), ("b", "<u4"), ("c", "<u4")])
    key, value = rows(keys, np.dtype("<u4")), rows(values, dtype)
    assert sorted(key.tolist()) == list(range(count))
    assert (value["a"] == key).all()
    assert (value["c"] == 3 * key).all()


@KERNEL
def test_a_bucket_larger_than_the_batch(loaded, monkeypatch):
    monkeypatch.setattr(map_access, "BATCH", 1)
    for i in range(3000):
        loaded["large"].update(u32(i), bytes(12))
    keys, _ = loaded["large"].items()
    assert sorted(rows(keys, np.dtype("<u4")).tolist()) == list(range(3000))


@KERNEL
def test_items_of_an_array(loaded):
    loaded["array"].update(u32(7), u64(70))
    keys, values = loaded["array"].items()
    assert rows(keys, np.dtype("<u4")).tolist() == list(range(10))
    assert rows(values, np.dtype("<u8")).tolist() == [0] * 7 + [70, 0, 0]


@KERNEL
@pytest.mark.parametrize("name", ["percpu", "percpu_array"])
def test_values_of_all_cpus(loaded, name):
    cpus, target = lib().libbpf_num_possible_cpus(), loaded[name]
    stride = -(-target.value_size // 8) * 8
    value = b"".join(bytes([cpu + 1]) * stride for cpu in range(cpus))
    target.update(u32(2), value)
    got = target.lookup(u32(2))
    assert len(got) == len(value) == cpus * stride
    size = target.value_size
    for cpu in range(cpus):  # what pads a value to 8 bytes is the kernel's
        assert got[cpu * stride : cpu * stride + size] == bytes([cpu + 1]) * size
    keys, values = target.items()
    at = rows(keys, np.dtype("<u4")).tolist().index(2)
    assert values.shape[1] == cpus * stride
    assert values[at].tobytes()[:size] == bytes([1]) * size
    with pytest.raises(MapError, match="value of"):
        target.update(u32(2), value[:size])


@KERNEL
def test_shared_maps_are_one(path, loaded):
    with Object(path) as second:
        with pytest.raises(MapError, match="shared"):
            second.maps["small"].share(second.maps["same"])  # which is not loaded
        second.maps["small"].share(loaded["same"])
        second.load()
        second.maps["small"].update(u32(9), u64(90))
        assert loaded["same"].lookup(u32(9)) == u64(90)
        assert loaded["small"].lookup(u32(9)) is None


@KERNEL
@pytest.mark.parametrize("other", ["large", "other_key", "other_type", "array"])
def test_maps_of_different_shapes_are_not_shared(path, loaded, other):
    with Object(path) as second, pytest.raises(MapError, match="differs"):
        second.maps["small"].share(loaded[other])


@KERNEL
@pytest.mark.parametrize("size", [0, 100, 5000, 1 << 40])
def test_rings_of_sizes_that_no_ring_has(size):
    with pytest.raises(MapError, match=f"ring buffer of {size} bytes"):
        module.create_ring(size)


@KERNEL
def test_left_out(obj):
    obj.maps["unused"].leave_out()
    obj.load()
    assert obj.maps["unused"].fd < 0


@KERNEL
def test_global_memory_is_the_kernels_own(loaded):
    memory = loaded[".data"].memory()
    for value in (5, 6):
        loaded[".data"].update(u32(0), u32(value))
        assert memory[:4].tobytes() == u32(value)
    with pytest.raises(ValueError, match="read-only"):
        memory[0] = 1
    with pytest.raises(MapError, match="cannot be mapped"):
        loaded["small"].memory()


def test_refused_is_not_permitted(obj, monkeypatch):
    monkeypatch.setattr(map_access, "last_errno", lambda: 1)
    with pytest.raises(NotPermittedError, match="small"):
        obj.maps["small"].lookup(u32(0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_rows_fit_or_fail(size, wanted, count):
    data = np.arange(count * size, dtype=np.uint8).reshape(count, size)
    dtype = np.dtype(("V", wanted))
    if size == wanted:
        assert [row.tobytes() for row in rows(data, dtype)] == [row.tobytes() for row in data]
    else:
        with pytest.raises(MapError, match=f"Rows of {size} bytes"):
            rows(data, dtype)
