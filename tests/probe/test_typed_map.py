"""Typed maps: round trips, longest prefixes, values of all CPUs, order."""

import ipaddress
import struct

import numpy as np
import polars as pl
import pytest
from compile_bpf import PROGRAM, compile_bpf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import MapError
from workbench.probe.column_type import Array, Opaque, Scalar, Struct
from workbench.probe.map_access import possible_cpus
from workbench.probe.objects import Object
from workbench.probe.open_map import OpenMap
from workbench.probe.typed_map import TypedMap, of_object, typed

pytestmark = pytest.mark.kernel
MAPS = """
#define MAP(name, kind, size, k, v, flags) struct { __uint(type, BPF_MAP_TYPE_##kind); \\
    __uint(max_entries, size); __type(key, k); __type(value, v); __uint(map_flags, flags); \\
    } name SEC(".maps")
struct who { __u32 pid; char comm[16]; __s16 nice; _Bool ok; };
struct cost { __u64 ns; __s32 change; __u8 hour[24]; __u32 pid; };
struct prefix { __u32 length; __u8 address[4]; };
MAP(hash, HASH, 1000, struct who, struct cost, 0);
MAP(percpu, PERCPU_HASH, 100, __u32, struct who, 0);
MAP(percpu_array, PERCPU_ARRAY, 4, __u32, __u64, 0);
MAP(array, ARRAY, 4, __u32, __s64, 0);
MAP(lpm, LPM_TRIE, 4096, struct prefix, __u32, BPF_F_NO_PREALLOC);
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 64); __type(value, struct who); }
    queue SEC(".maps");
MAP(lru, LRU_HASH, 1000, struct who, struct cost, 0);
MAP(lru_percpu, LRU_PERCPU_HASH, 1000, struct who, struct cost, 0);
struct placed { __u32 cpu; __u32 pid; };
MAP(placed, PERCPU_HASH, 100, struct placed, struct cost, 0);
MAP(struct_array, ARRAY, 16, __u32, struct cost, 0);
struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 64); __type(value, struct who); }
    stack SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(max_entries, 64);
    __uint(key_size, 4); __uint(value_size, 64); } stacks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __uint(key_size, 3);
    __uint(value_size, 2); } untyped SEC(".maps");
"""


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    with Object(compile_bpf(tmp_path_factory.mktemp("bpf"), MAPS + PROGRAM)) as obj:
        obj.load()
        yield {name: of_object(obj.btf, each) for name, each in obj.maps.items()}


@pytest.fixture(autouse=True)
def empty(maps):
    for name in ("hash", "percpu", "lpm", "untyped", "lru", "lru_percpu", "placed"):
        keys, _ = maps[name].raw.items()
        maps[name].raw.delete_batch(keys)


COMM = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=16)
WHO = st.fixed_dictionaries(
    {
        "pid": st.integers(0, 2**32 - 1),
        "comm": COMM,
        "nice": st.integers(-(2**15), 2**15 - 1),
        "ok": st.booleans(),
    }
)
COST = st.fixed_dictionaries(
    {
        "ns": st.integers(0, 2**64 - 1),
        "change": st.integers(-(2**31), 2**31 - 1),
        "hour": st.lists(st.integers(0, 255), min_size=24, max_size=24),
        "pid": st.integers(0, 2**32 - 1),
    }
)
ONCE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)


def in_order(entries):
    return sorted([sorted(key.items()), sorted(value.items())] for key, value in entries)


@ONCE
@given(
    st.lists(st.tuples(WHO, COST), max_size=20, unique_by=lambda pair: str(sorted(pair[0].items())))
)
def test_what_is_written_is_read(maps, entries):
    target = maps["hash"]
    target.raw.delete_batch(target.raw.items()[0])
    target.write(entries)
    assert len(target) == len(entries)
    split = [
        (
            {name: row[name] for name in ("pid", "comm", "nice", "ok")},
            {
                "ns": row["ns"],
                "change": row["change"],
                "hour": row["hour"],
                "pid": row["value_pid"],
            },
        )
        for row in target.arrow().to_pylist()
    ]
    assert in_order(split) == in_order(entries)
    for key, value in entries:
        assert target[key] == value
    assert target.remove([key for key, _ in entries]) == len(entries)
    assert len(target) == 0


def test_one_by_one(maps):
    target = maps["hash"]
    key = {"pid": 1, "comm": "init"}
    assert target.get(key) is None
    target[key] = {"ns": 5}
    assert target[key]["ns"] == 5
    assert target.polars()["comm"].to_list() == ["init"]
    del target[key]
    with pytest.raises(KeyError):
        del target[key]
    with pytest.raises(KeyError):
        target[key]
    assert "1,000 entries" in repr(target)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ({"pid": -1}, {}),
        ({"pid": 1 << 32}, {}),
        ({"comm": "x" * 17}, {}),
        ({"name": "x"}, {}),
        (7, {}),
        ({}, {"hour": [1]}),
        ({}, {"ns": "many"}),
        ({}, 7),
    ],
)
def test_what_does_not_fit_is_never_written(maps, key, value):
    with pytest.raises(MapError):
        maps["hash"][key] = value
    assert len(maps["hash"]) == 0


def test_types_of_other_sizes(maps):
    raw = maps["array"].raw
    u32, u64 = Scalar(np.dtype("<u4")), Scalar(np.dtype("<u8"))
    with pytest.raises(MapError, match="keys of 4 bytes, not 8"):
        TypedMap(raw, u64, u64)
    with pytest.raises(MapError, match="values of 8 bytes, not 4"):
        TypedMap(raw, u32, u32)


def test_values_of_all_cpus(maps):
    cpus = possible_cpus()
    target = maps["percpu"]
    assert target.per_cpu
    target[5] = [{"pid": cpu, "comm": f"cpu{cpu}"} for cpu in range(cpus)]
    target[6] = {"pid": 77}
    assert [each["pid"] for each in target[5]] == list(range(cpus))
    assert [each["pid"] for each in target[6]] == [77] * cpus
    frame = target.polars().sort("key", "cpu")
    assert frame.columns == ["key", "cpu", "pid", "comm", "nice", "ok"]
    assert frame["cpu"].to_list() == list(range(cpus)) * 2
    assert frame["comm"].to_list() == [f"cpu{cpu}" for cpu in range(cpus)] + [""] * cpus
    with pytest.raises(MapError, match=f"holds {cpus} values, not {cpus + 1}"):
        target[5] = [{}] * (cpus + 1)


def test_a_key_with_a_member_cpu(maps):
    cpus, target = possible_cpus(), maps["placed"]
    value = {"ns": 0, "change": 0, "hour": [0] * 24, "pid": 0}
    for cpu in (5, 9):  # of the key: whatever the program means by it
        target[{"cpu": cpu, "pid": 1}] = [value | {"ns": 10 * cpu + i} for i in range(cpus)]
    frame = target.polars().sort("cpu", "of_cpu")
    assert frame.columns == ["cpu", "pid", "of_cpu", "ns", "change", "hour", "value_pid"]
    assert frame["cpu"].to_list() == [5] * cpus + [9] * cpus
    assert frame["of_cpu"].to_list() == list(range(cpus)) * 2
    assert frame["ns"].to_list() == [10 * cpu + i for cpu in (5, 9) for i in range(cpus)]
    target.remove([{"cpu": 5, "pid": 1}, {"cpu": 9, "pid": 1}])
    target.write(frame.sample(fraction=1, shuffle=True, seed=7))
    assert target.polars().sort("cpu", "of_cpu").equals(frame)


def test_arrays_of_each_cpu(maps):
    cpus, target = possible_cpus(), maps["percpu_array"]
    for key in range(4):
        target[key] = [1000 * key + cpu for cpu in range(cpus)]
    frame = target.polars()
    assert frame["value"].sum() == sum(1000 * k + c for k in range(4) for c in range(cpus))


@ONCE
@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), min_size=1, max_size=40),
    st.lists(st.integers(0, 2**32 - 1), max_size=20),
)
def test_longest_prefixes_as_pythons_ipaddress_knows_them(maps, prefixes, more):
    target = maps["lpm"]
    target.raw.delete_batch(target.raw.items()[0])
    networks = {
        ipaddress.ip_network((address, length), strict=False) for address, length in prefixes
    }
    numbered = dict(enumerate(sorted(networks)))
    target.write(
        ({"length": n.prefixlen, "address": list(n.network_address.packed)}, i)
        for i, n in numbered.items()
    )
    assert len(target) == len(networks)
    asked = [ipaddress.ip_address(each) for each in [*more, *(a for a, _ in prefixes)]]
    for address in asked:
        fitting = [(n.prefixlen, i) for i, n in numbered.items() if address in n]
        wanted = max(fitting)[1] if fitting else None
        assert target.get({"length": 32, "address": list(address.packed)}) == wanted
    rows = target.polars()
    assert sorted(rows["length"].to_list()) == sorted(n.prefixlen for n in networks)


def test_queues_keep_their_order(maps):
    target = maps["queue"]
    assert target.pop() is None
    for number in range(10):
        target.push({"pid": number, "comm": f"n{number}"})
    assert target.peek()["pid"] == 0
    assert target.pop() == {"pid": 0, "comm": "n0", "nice": 0, "ok": False}
    assert target.drain()["pid"].to_list() == list(range(1, 10))
    assert target.drain().is_empty()
    with pytest.raises(MapError, match="no keys"):
        target.arrow()


def test_stacks_give_the_last_one_first(maps):
    target = maps["stack"]
    for number in range(5):
        target.push({"pid": number, "comm": f"n{number}"})
    assert target.peek()["pid"] == 4
    assert target.pop() == {"pid": 4, "comm": "n4", "nice": 0, "ok": False}
    assert target.drain()["comm"].to_list() == ["n3", "n2", "n1", "n0"]
    for queue in (target, maps["queue"]):
        with pytest.raises(MapError, match="no keys") as caught:
            queue.write([(None, {"pid": 1})])
        assert "push()" in caught.value.advice


def entry(number):
    return (
        {"pid": number, "comm": f"name {number}", "nice": -number, "ok": number % 2 == 0},
        {"ns": number << 40, "change": -number, "hour": [number] * 24, "pid": number + 1},
    )


@pytest.mark.parametrize("name", ["hash", "lru", "lru_percpu"])
def test_tables_are_written_as_they_are_read(maps, name):
    """Through Arrow, polars and pandas, the values of each CPU with them."""
    target = maps[name]
    cpus = possible_cpus() if target.per_cpu else 1
    target.write([entry(number) for number in range(100)])
    if target.per_cpu:
        key, value = entry(7)
        target[key] = [value | {"change": cpu} for cpu in range(cpus)]
    table, frame = target.arrow(), target.polars()
    assert table.num_rows == 100 * cpus
    for written in (table, frame, frame.reverse(), target.polars().to_pandas()):
        target.remove([entry(number)[0] for number in range(100)])
        assert len(target) == 0
        target.write(written)
        by = ["pid", "cpu"] if target.per_cpu else ["pid"]
        assert target.polars().sort(by).equals(frame.sort(by))


def test_one_value_for_all_cpus(maps):
    target = maps["percpu_array"]
    target.write(pl.DataFrame({"key": [0, 3], "value": [5, 6]}))
    assert target[0] == [5] * possible_cpus()
    assert target[3] == [6] * possible_cpus()


def test_arrays_and_prefixes_from_tables(maps):
    rows = pl.DataFrame({"key": range(16)}).with_columns(
        (pl.col("key") * 3).alias("ns"),
        pl.col("key").alias("change"),
        pl.concat_list(["key"] * 24).alias("hour"),
        pl.lit(9).alias("pid"),
    )
    maps["struct_array"].write(rows)
    assert maps["struct_array"][5] == {"ns": 15, "change": 5, "hour": [5] * 24, "pid": 9}
    prefixes = pl.DataFrame({"length": [8, 16], "address": [[10, 0, 0, 0], [10, 1, 0, 0]]})
    maps["lpm"].write(prefixes.with_columns(pl.Series("value", [1, 2])))
    assert maps["lpm"][{"length": 32, "address": [10, 1, 2, 3]}] == 2
    assert maps["lpm"][{"length": 32, "address": [10, 2, 2, 3]}] == 1


@pytest.mark.parametrize(
    ("column", "values"),
    [("pid", [1 << 32]), ("comm", ["x" * 17]), ("hour", [[1]]), ("nice", [None]), ("more", [1])],
)
def test_tables_that_do_not_fit_write_nothing(maps, column, values):
    target = maps["hash"]
    target.write([entry(1)])
    frame = target.polars()
    target.remove([entry(1)[0]])
    with pytest.raises(MapError):
        target.write(frame.with_columns(pl.Series(column, values)))
    with pytest.raises(MapError, match="missing"):
        target.write(frame.drop("ns"))
    assert len(target) == 0


def test_what_has_no_types(maps):
    assert maps["stacks"].value == Array(Scalar(np.dtype("<u8")), 8)
    assert maps["stacks"].polars().is_empty()
    target = maps["untyped"]
    assert target.key == Opaque(3)
    target[b"abc"] = struct.unpack("<H", b"xy")[0]
    assert target.arrow().to_pylist() == [{"key": b"abc", "value": struct.unpack("<H", b"xy")[0]}]


def test_what_the_kernel_knows(maps):
    for name in ("hash", "percpu", "lpm", "array", "lru", "lru_percpu", "struct_array"):
        again = typed(OpenMap.of(maps[name].raw.fd))
        assert (again.key, again.value) == (maps[name].key, maps[name].value)


def test_signed_values(maps):
    maps["array"][2] = -5
    assert maps["array"].polars()["value"].to_list() == [0, 0, -5, 0]
    assert isinstance(maps["hash"].key, Struct)
