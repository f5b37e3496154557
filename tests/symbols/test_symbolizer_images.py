"""Places in files that are known by number: what recorded stacks hold."""

import os
import shutil

import numpy as np
import pytest
from programs import compiled, lines_of, running
from symbol_names import Names

from workbench.symbols.image_cache import VDSO
from workbench.symbols.mappings import Snapshot, read_maps

SOURCE = """
#include <stdio.h>
int __attribute__((noinline)) visible(int x) { return x * 2; }
int main(int n, char **a) {
    printf("visible %p\\nmain %p\\n", visible, main);
    puts("ready"); fflush(stdout); getchar();
    return visible(n);
}
"""


@pytest.fixture
def names():
    made = Names()
    yield made
    made.symbolizer.close()
    assert made.symbolizer.stats.last_failure == ""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    # Its code lies at other addresses than offsets.
    directory = tmp_path_factory.mktemp("images")
    flags = ("-O1", "-Wl,--build-id", "-no-pie", "-Wl,-Ttext-segment=0x7000000")
    return compiled(directory, "program", SOURCE, "gcc", *flags)


def code_of(pid, name):
    """Return the executable mapping whose path ends in a name."""
    mappings = Snapshot.of(read_maps(pid), executable_only=True).mappings
    return next(each for each in mappings if each.path.endswith(name))


def offsets_of(process, *symbols):
    code = code_of(process.pid, "program")
    return [process.addresses[each] - code.start + code.offset for each in symbols]


def rows_of(names, ids):
    names.take()
    return [names.rows[each] for each in ids.tolist()]


def test_offsets_of_deleted_and_ended_programs(program, names, tmp_path):
    copy = tmp_path / "program"
    shutil.copy(program, copy)
    with running(copy) as process:
        offsets = offsets_of(process, "visible", "main")
        source = os.open(f"/proc/{process.pid}/exe", os.O_RDONLY)
        copy.unlink()
        assert names.symbolizer.add_image(7, process.pid, str(copy), source)
    numbers = np.array([7, 7, 8], np.uint16)
    ids = names.symbolizer.image_frames(numbers, np.array([*offsets, 5], np.uint64))
    assert ids.dtype == np.uint32
    rows = rows_of(names, ids)
    assert [row["function"] for row in rows] == ["visible", "main", "[unknown]"]
    truth = {
        line.split()[2]: int(line.split()[0], 16)
        for line in lines_of("nm", "--defined-only", program)
    }
    assert [row["offset"] for row in rows[:2]] == [truth["visible"], truth["main"]]
    assert rows[0]["build_id"] in " ".join(lines_of("readelf", "-n", program))
    assert rows[0]["module"] == str(copy)


def test_images_and_addresses_give_the_same_frames(program, names):
    with running(program) as process:
        vdso = code_of(process.pid, VDSO)
        names.symbolizer.add_process(process.pid)
        with open(f"/proc/{process.pid}/mem", "rb") as memory:
            memory.seek(vdso.start)
            names.symbolizer.add_image(2, 0, VDSO, memory.read(vdso.end - vdso.start))
        assert names.symbolizer.add_image(1, process.pid, str(program))
        offsets = [*offsets_of(process, "visible", "visible"), 0xA00]
        addresses = [process.addresses["visible"]] * 2 + [vdso.start + 0xA00]
        leaf = np.array([True, False, True])
        ids = names.symbolizer.image_frames(
            np.array([1, 1, 2], np.uint16), np.array(offsets, np.uint64), leaf=leaf
        )
        again = names.symbolizer.frames_for(process.pid, np.array(addresses, np.uint64), leaf=leaf)
    assert ids.tolist() == again.tolist()
    rows = rows_of(names, ids)
    assert rows[0]["function"] == "visible" != rows[1]["function"]
    assert rows[2]["module"] == VDSO


def test_files_out_of_reach_and_of_other_formats(names, tmp_path):
    text = tmp_path / "code.txt"
    text.write_text("no ELF file")
    assert not names.symbolizer.add_image(1, 1 << 22, str(tmp_path / "nothing"))
    assert names.symbolizer.add_image(2, 1 << 22, str(text))
    ids = names.symbolizer.image_frames(np.array([1, 2]), np.array([64, 64], np.uint64))
    functions = [row["function"] for row in rows_of(names, ids)]
    assert functions == ["[unknown]", "[code.txt]"]
    assert names.symbolizer.stats.images_missing == 1
