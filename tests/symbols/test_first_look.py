"""What is seen of a process as it starts names its frames, whatever becomes of it and its file."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from programs import compiled, running
from symbol_names import Names

from workbench.symbols import first_look as module
from workbench.symbols.first_look import FirstLook, Look
from workbench.symbols.mappings import read_maps
from workbench.symbols.process import Status

SOURCE = """
#include <stdio.h>
__attribute__((noinline)) int worker(int x) { return x * 3 + 1; }
int main(void) {
    printf("worker %p\\nmain %p\\nready\\n", (void *)worker, (void *)main);
    fflush(stdout);
    return worker(getchar());
}
"""
GONE = 2**22 + 1


@pytest.fixture
def names():
    made = Names()
    yield made
    made.symbolizer.close()
    assert made.symbolizer.stats.last_failure == ""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("looks"), "program", SOURCE, "gcc", "-O1")


@pytest.fixture
def copy(program, tmp_path):
    return Path(shutil.copy(program, tmp_path / "copy"))


def open_files():
    return len(os.listdir("/proc/self/fd"))


def paths(look):
    return [mapping.path for mapping, _ in look.files]


def test_a_program_that_ends_and_is_deleted_has_names(copy, names):
    before = open_files()
    with running(copy) as process:
        look = FirstLook().look(process.pid)
    copy.unlink()
    names.symbolizer.add_process(process.pid, look)
    found = names.frames(process.pid, *process.addresses.values())
    assert [frame["function"] for frame in found] == list(process.addresses) == ["worker", "main"]
    assert {frame["module"] for frame in found} == {str(copy)}
    names.symbolizer.close()
    assert open_files() <= before


def test_the_same_place_is_opened_once_and_a_new_program_again(copy, names):
    looks = FirstLook()
    seen = []
    for _ in range(2):
        with running(copy) as process:
            look = looks.look(process.pid)
            names.symbolizer.add_process(process.pid, look)
            seen.append(paths(look))
            assert names.of(process.pid, process.addresses["worker"]) == ["worker"]
    assert str(copy) in seen[0]
    assert seen[1] == []
    with copy.open("r+b") as file:  # in the same place, as after rm and cp
        file.seek(0, os.SEEK_END)
        file.write(b"another one")
    with running(copy) as process:
        look = looks.look(process.pid)
        assert paths(look) == [str(copy)]
        look.close()


def test_a_known_file_that_is_out_of_reach_by_now(copy, names):
    looks = FirstLook()
    with running(copy) as first:
        names.symbolizer.add_process(first.pid, looks.look(first.pid))
    with running(copy) as process:
        look = looks.look(process.pid)
    copy.unlink()
    assert look.files == ()
    names.symbolizer.add_process(process.pid, look)
    assert names.of(process.pid, *process.addresses.values()) == ["worker", "main"]


def test_descriptors_of_two_takers(copy):
    before = open_files()
    with running(copy) as process:
        look = FirstLook().look(process.pid)
        twice = look.duplicate()
        assert [mapping for mapping, _ in twice] == [mapping for mapping, _ in look.files]
        look.close()
        assert all(os.fstat(descriptor).st_size for _, descriptor in twice)
        for _, descriptor in twice:
            os.close(descriptor)
    assert open_files() <= before


def test_it_takes_a_bounded_share_of_the_time(monkeypatch):
    monkeypatch.setattr(module, "SHARE", 0.0)
    looks, count = FirstLook(), 0
    while looks.skipped == 0:
        look = looks.look(os.getpid())
        if look is not None:
            look.close()
        count += 1
        assert count < 100_000
    assert looks.look(os.getpid()) is None
    assert looks.skipped == 2
    assert looks._budget.left > -module.BURST_S - 5  # what one look took, on whatever machine


def test_it_leaves_descriptors_to_others(copy):
    looks, before = FirstLook(), open_files()
    looks._limit = 0
    with running(copy) as process:
        look = looks.look(process.pid)
        assert look.files == ()
        assert look.content == read_maps(process.pid)
        assert open_files() == before + 2  # of the process's pipes
        looks._limit = 1 << 20
        look = looks.look(process.pid)
        assert str(copy) in paths(look), "it is not taken for known"
        look.close()


def test_processes_that_are_gone(copy):
    assert FirstLook().look(GONE) is None
    with running(copy) as process:
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert FirstLook().look(process.pid) is None  # a zombie maps nothing


def test_a_child_that_is_gone_stands_where_its_parent_stood(copy, names):
    with running(copy) as process:
        names.symbolizer.add_process(process.pid)
        assert names.symbolizer.add_process(GONE, parent=process.pid)
    assert names.of(GONE, process.addresses["worker"]) == ["worker"]
    assert not names.symbolizer.add_process(GONE + 1, parent=GONE + 2)


def test_a_perf_map_of_a_process_whose_mappings_nobody_read(copy, names):
    with running(copy) as process:
        path = Path(f"/tmp/perf-{process.pid}.map")
        try:
            path.write_text("7000000000 1000 compiled_code\n")
            process.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            (frame,) = names.frames(process.pid, 0x7000000010)
        finally:
            path.unlink()
    assert (frame["function"], frame["kind"]) == ("compiled_code", "jit")


def test_another_process_of_the_same_id(copy, names):
    with running(copy) as process:
        look = FirstLook().look(process.pid)
        old = Look(process.pid, Status(1, frozenset(), process.pid), look.content, 1)
        names.symbolizer.add_process(process.pid, old)
        before = names.symbolizer._processes[process.pid]
        names.symbolizer.add_process(process.pid, look)
        assert names.symbolizer._processes[process.pid] is not before
        assert before.exited
