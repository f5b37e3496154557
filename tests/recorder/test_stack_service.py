"""What kinds with stacks share: what is loaded before the start, and what is looked for later."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from workbench.recorder import stack_service as module
from workbench.recorder.spec import Target
from workbench.recorder.stack_service import MISSING, StackService, can_walk
from workbench.recorder.stack_words import Samples

GONE = 2**22 + 1


class Told:
    """Something that keeps what it is told."""

    def __init__(self):
        self.told, self.idle = [], object()

    def __getattr__(self, name):
        return lambda *arguments: self.told.append((name, *arguments))


@pytest.fixture
def service(monkeypatch):
    """A service whose threads are made up."""
    monkeypatch.setattr(module, "StackWorker", Told)
    monkeypatch.setattr(module, "UnwindManager", lambda *_: Told())
    monkeypatch.setattr(module, "TableMaps", lambda *_: None)
    maps = dict.fromkeys(("wb_rows", "wb_images"), "a map")
    made = StackService(SimpleNamespace(maps=maps), walks=True, python=False)
    assert made.shared == maps
    assert made._namer.gives_way is made.unwind.idle
    return made


def test_a_command_has_its_tables_before_it_begins(service, monkeypatch):
    monkeypatch.setattr(module, "files_of", lambda program: [f"/{program}", "/libc"])
    monkeypatch.setattr(module, "recall", lambda command: ["/libc", f"/{command[1]}.so"])
    service.prepare(Target(pid=5, held=True, command=("prog", "x")))
    wanted = ["/prog", "/libc", "/x.so"]
    assert service.unwind.told == [("prepare", wanted), ("wait", module.READY_S)]


def test_what_a_command_mapped_is_remembered(service, monkeypatch):
    kept = []
    monkeypatch.setattr(module, "files_of", lambda _: [])
    monkeypatch.setattr(module, "recall", lambda _: [])
    monkeypatch.setattr(module, "remember", lambda *told: kept.append(told))
    service.finish()
    assert kept == []
    service.prepare(Target(pid=5, held=True, command=("prog",)))
    service._announce(1, SimpleNamespace(source=b"", pid=5, mapping=SimpleNamespace(path="/a")))
    service.finish()
    assert kept == [(("prog",), ["/a"])]


def test_a_running_process_is_waited_for(service):
    service.process_started(GONE)
    service.prepare(Target(pid=GONE))
    assert service.unwind.told == [("process_started", GONE, []), ("wait", module.READY_S)]
    assert service._namer.told == [("add_process", GONE, None, 0)]
    service.prepare(None)
    assert len(service.unwind.told) == 2


def test_a_whole_machine(service, monkeypatch):
    monkeypatch.setattr(module.procfs, "processes", lambda: [GONE, GONE + 1])
    service.prepare(Target())
    expected = [("process_started", pid, []) for pid in (GONE, GONE + 1)]
    assert service.unwind.told[:2] == expected


def test_a_program_is_looked_at_when_it_starts(service):
    """Before the threads get to it, and once for both; a fork changes nothing yet."""
    service.process_started(os.getpid(), parent=5)
    service.process_started(os.getpid())
    (_, _, none), (_, pid, images) = service.unwind.told
    assert (none, pid) == ([], os.getpid())
    (_, _, no_look, parent), (_, _, look, _) = service._namer.told
    assert (no_look, parent) == (None, 5)
    assert os.stat("/proc/self/exe").st_ino in [image.key.inode for image in images]
    assert [image.mapping for image in images] == [mapping for mapping, _ in look.files]
    look.close()
    for image in images:
        assert os.fstat(image.source).st_size == image.key.size
        image.close()


def samples(statuses, pids=(10, 11, 12)):
    records = np.zeros(len(statuses), [("pid", "u4"), ("stack_status", "u2")])
    records["pid"], records["stack_status"] = pids, statuses
    return Samples("cpu", lambda *_: None, records, np.zeros(0, np.uint64))


def test_images_that_stacks_lack_are_looked_for(service):
    given = samples([MISSING, 0, MISSING])
    service.submit(given)
    ((name, pids),) = service.unwind.told
    assert (name, pids.tolist()) == ("image_missing", [10, 12])
    assert service._namer.told == [("submit", given)]
    service.submit(samples([0, 1, 2]))
    assert len(service.unwind.told) == 1


def test_images_are_announced_with_a_file_of_their_own(service, tmp_path):
    (tmp_path / "x").write_bytes(b"code")
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    found = SimpleNamespace(pid=9, mapping=SimpleNamespace(path="/x"), source=fd)
    service._announce(3, found)
    os.close(fd)
    ((_, number, pid, path, copy),) = service._namer.told
    assert (number, pid, path) == (3, 9, "/x")
    assert os.read(copy, 10) == b"code"
    os.close(copy)
    service._announce(4, SimpleNamespace(pid=9, mapping=found.mapping, source=b"vdso"))
    assert service._namer.told[-1][-1] == b"vdso"


def test_problems(service):
    service._namer.failure = "Traceback\nValueError: odd name"
    service.unwind.stats = SimpleNamespace(failures=2, last_failure="no memory")
    names, tables = service.problems()
    assert "ValueError: odd name" in names
    assert tables == "2 unwind tables were not loaded: no memory"
    service.close()
    assert service.unwind.told[-1] == service._namer.told[-1] == ("close",)


@pytest.mark.parametrize(
    ("names", "walks"),
    [(b"\0mm_mt\0BPF_FUNC_loop\0", True), (b"\0mm_mtx\0BPF_FUNC_loop\0", False), (b"", False)],
)
def test_kernels_are_told_by_what_they_have(tmp_path, monkeypatch, names, walks):
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    (tmp_path / "vmlinux").write_bytes(names)
    assert can_walk(tmp_path / "vmlinux") is walks
    assert not can_walk(tmp_path / "none")
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    assert not can_walk(tmp_path / "vmlinux")
