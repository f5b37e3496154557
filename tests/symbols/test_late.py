"""Frames of a stripped program get what its debug file says, as addr2line says it."""

import subprocess

import numpy as np
import pyarrow as pa
import pytest
from programs import compiled, lines_of

from workbench.elf import Elf
from workbench.schema import FRAMES, STACKS, arrow_schema
from workbench.symbols.build_ids import BuildIds
from workbench.symbols.late import name_again

SOURCE = """
static inline __attribute__((always_inline)) int twice(int n) { return n * 7 / (n + 3); }
__attribute__((noinline)) int work(int n) { return twice(n) + twice(n + 1); }
int main(int n, char **a) { return work(n); }
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    whole = compiled(folder, "whole", SOURCE, "gcc", "-g", "-O2", "-Wl,--build-id")
    subprocess.run(["strip", "-o", folder / "bare", whole], check=True)
    debug = folder / "debug"  # as distributions ship it: without the code
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
    found = [line.split() for line in lines_of("nm", "-S", whole)]
    start, size = next((int(w[0], 16), int(w[1], 16)) for w in found if w[-1] == "work")
    with Elf.open(whole) as elf:
        return folder, whole, elf.build_id, range(start, start + size)


def frames_of(rows):
    names = [column.name for column in FRAMES]
    rows = [dict.fromkeys(names) | {"build_id": "", "offset": 0} | row for row in rows]
    schema = arrow_schema(FRAMES)
    plain = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type
             for f in schema}  # fmt: skip
    arrays = [pa.array([r[n] for r in rows], plain[n]).cast(schema.field(n).type) for n in names]
    return pa.Table.from_arrays(arrays, schema=schema)


def stacks_of(lists):
    schema = arrow_schema(STACKS)
    return pa.table({"stack_id": [*range(1, len(lists) + 1)], "frame_ids": lists}).cast(schema)


def named(frames, stacks):
    rows = {row["frame_id"]: row for row in frames.to_pylist()}
    return [[rows[number] for number in ids] for ids in stacks.column("frame_ids").to_pylist()]


@pytest.mark.parametrize("kept", ["whole", "debug"])
def test_names_lines_and_inlines_as_addr2line_tells_them(built, kept):
    folder, whole, build_id, places = built
    rows = [
        {"frame_id": 10 + i, "function": "[bare]", "module": "/srv/bare", "build_id": build_id,
         "offset": address, "kind": "native"}
        for i, address in enumerate(places)
    ]  # fmt: skip
    stacks = stacks_of([[row["frame_id"]] for row in rows])
    made = named(*name_again(frames_of(rows), stacks, BuildIds([folder / kept])))
    inlined = 0
    for address, stack in zip(places, made, strict=True):
        told = lines_of("addr2line", "-f", "-i", "-e", whole, hex(address))
        wanted = [
            (function, int(line.rpartition(":")[2].split()[0].replace("?", "0")) or None)
            for function, line in zip(told[::2], told[1::2], strict=True)
        ]
        assert [(f["function"], f["line"]) for f in stack] == wanted
        assert [f["kind"] for f in stack] == ["inlined"] * (len(stack) - 1) + ["native"]
        inlined += len(stack) - 1
    assert inlined > 3


def test_what_is_known_stays_and_stacks_keep_their_ids(built):
    folder, whole, build_id, places = built
    rows = [
        {"frame_id": 0, "function": "[unknown]", "module": "[unknown]", "kind": "unknown"},
        {"frame_id": 4, "function": "job", "module": "python", "file": "a.py", "line": 3,
         "kind": "python"},
        {"frame_id": 5, "function": "other", "module": "/m", "build_id": "11" * 20,
         "offset": 64, "kind": "native"},
        {"frame_id": 7, "function": "work.part", "module": "/m", "build_id": build_id,
         "offset": places[0], "kind": "native"},
    ]  # fmt: skip
    lists = [[7, 4, 5], [], [0, 99], [4]]
    for search, place in (([whole], ("work.part", 3)), ([folder / "bare"], ("work.part", None))):
        frames, stacks = name_again(frames_of(rows), stacks_of(lists), BuildIds(search))
        assert stacks.column("stack_id").to_pylist() == [1, 2, 3, 4]
        one, two, three, four = named(frames, stacks)
        assert [(f["function"], f["line"]) for f in one[-3:]] == [
            place, ("job", 3), ("other", None),
        ]  # fmt: skip
        assert (two, [f["function"] for f in three]) == ([], ["[unknown]", "[unknown]"])
        assert four[0]["file"] == "a.py"


def test_empty_tables():
    frames, stacks = name_again(frames_of([]), stacks_of([]), BuildIds())
    assert frames.num_rows == 1  # the unknown one
    assert stacks.num_rows == 0
    assert np.array(stacks.column("stack_id")).dtype == np.uint32
