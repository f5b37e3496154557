"""Stacks of the kernel side equal those that libdw finds from the same registers and memory."""

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libdw
import numpy as np
import pytest
from compile_bpf import compile_bpf
from programs import let_run
from stack_programs import MODES, chains
from symbol_names import Names

from workbench.elf import Elf
from workbench.event_texts import STACK_STATUSES
from workbench.probe.clib import lib
from workbench.probe.objects import Link, Object
from workbench.probe.perf_event import online_cpus, open_cpu_clock
from workbench.probe.ringbuf import RingBuffer
from workbench.recorder.stack_words import IMAGE_MASK, IMAGE_SHIFT, OFFSET_MASK
from workbench.symbols.mappings import Snapshot, read_maps
from workbench.unwind.eh_frame import table_of
from workbench.unwind.images import place_of
from workbench.unwind.loader import TableMaps
from workbench.unwind.manager import UnwindManager
from workbench.unwind.rows import Rule, row_at, unpack

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(libdw.library() is None, reason="libdw (elfutils) is not installed"),
]
HERE = Path(__file__).parent
HZ, SECONDS = 299, 2.0  # of calls and switches; samples are taken by CPU time
NO_MAPPING = STACK_STATUSES.index("no_mapping")
FRAME_IS_THE_CALLERS = (b"\xc3", b"\xc2", b"\x55\x48\x89\xe5", b"\x55\x48\x8b\xec",
                        b"\x48\x89\xe5", b"\x48\x8b\xec")  # fmt: skip
"""ret, ret $n, push %rbp; mov %rsp,%rbp, and the mov (two encodings)."""
BUSY_PYTHON = "import json\nwhile True: json.dumps(sorted(str(i) for i in range(2000)))"
BUSY_NODE = "for (;;) JSON.parse(JSON.stringify([...Array(999).keys()].map(x => [x].sort())))"
LAZY = ("lazy", "lazy_signals")
# What has called _dl_runtime_resolve there, leaf first.
BINDING = ["binding", "work", "three", "two", "one", "main", "__libc_start_call_main",
           "__libc_start_main", "_start"]  # fmt: skip
CALLED = BINDING[2:]
COMMANDS = {
    "python": ("/usr/bin/python3", "-c", BUSY_PYTHON),
    "node": ("node", "-e", BUSY_NODE),
    "dash": ("sh", "-c", "while :; do :; done"),
}


@pytest.fixture(scope="session")
def dumper(tmp_path_factory):
    head = "#define __TARGET_ARCH_x86\n" + (HERE / "stack_dump.bpf.c").read_text()
    return compile_bpf(tmp_path_factory.mktemp("dump"), "", head=head)


class Dumps:
    """The loaded test program, with tables for one process."""

    def __init__(self, path, pid):
        self.object, self.keys = Object(path), {}
        for name in ("wb_perf",):
            self.object.maps[name].leave_out()
        self.object.set("wb_by_tree", 1)
        self.object.set("wb_tables", 1)
        self.object.load()
        maps = self.object.maps
        maps["wb_targets"].update(pid.to_bytes(4, "little"), (1).to_bytes(4, "little"))
        tables = TableMaps(maps["wb_rows"], maps["wb_images"])
        self.manager = UnwindManager(
            tables,
            lambda elf: table_of(elf).rows,
            lambda number, found: self.keys.update({number: place_of(found.mapping)}),
        )
        self.manager.process_started(pid)
        assert self.manager.wait(30)
        self.layout = self.object.layout("stack_dump").dtype
        self.ring = RingBuffer(maps["dumps"].fd, maps["dumps"].max_entries)

    def drain(self):
        records = [span.records(self.layout).copy() for span in self.ring.drain()]
        return np.concatenate(records) if records else np.zeros(0, self.layout)

    def places(self, dump):
        """The words of a stack as (file, offset), and (None, address) where there is no file."""
        words = dump["words"][: int(dump["user_depth"])]
        numbers, offsets = (words >> IMAGE_SHIFT) & IMAGE_MASK, words & OFFSET_MASK
        pairs = zip(numbers.tolist(), offsets.tolist(), strict=True)
        return [(self.keys.get(number), offset) for number, offset in pairs]

    def close(self):
        self.manager.close()
        self.ring.close()
        self.object.close()


def place(snapshot, address, called):
    """Where an address lies, as :meth:`Dumps.places` gives it; a file may be mapped twice."""
    index = snapshot.lookup(np.array([address - called], np.uint64))[0]
    if index < 0:
        return "nowhere", address
    m = snapshot.mappings[index]
    if not m.is_file and m.path != "[vdso]":
        return None, address
    return place_of(m), address - m.start + (m.offset if m.is_file else 0)


def needs_rbx(snapshot, pid, address, names):
    """Whether a return address lies in _dl_runtime_resolve, whose caller is told by rbx.

    libdw 0.188 takes rbx for destroyed by functions that say nothing of it (its list of what calls
    preserve has rax, backends/x86_64_cfi.c), so that it may end there.
    """
    index = snapshot.lookup(np.array([address - 1], np.uint64))[0]
    if index < 0 or not snapshot.mappings[index].is_file:
        return False
    m = snapshot.mappings[index]
    with Elf.open(m.path) as elf:
        row = row_at(table_of(elf).rows, address - 1 - m.start + m.offset)
    if unpack(np.array([row], np.uint64)).rule[0] != Rule.RBX:
        return False
    (name,) = names.of(pid, address - 1)
    return name.startswith("_dl_runtime_resolve")


def in_sigreturn(pid, address, names):
    """Whether a sample lies in the system call of __restore_rt, whose table ends behind it.

    libdw takes such an address for the function that comes next, and what it finds is not so.
    """
    return names.of(pid, address - 1) == ["__restore_rt"]


def functions(snapshot, pid, places, names):
    """Names of the functions to which return addresses belong, given as files and offsets."""
    found = []
    for key, offset in places:
        there = (m for m in snapshot.mappings if m.is_file and place_of(m) == key)
        (m,) = (m for m in there if m.offset < offset <= m.offset + m.end - m.start)
        found += names.of(pid, offset - m.offset + m.start - 1)
    return found


@dataclass
class Compared:
    """Stacks that are equal, equal as far as libdw had memory, and others.

    ``bound`` are those that are equal up to _dl_runtime_resolve, where libdw ended: the functions
    that the kernel side found beyond it. ``skipping`` are equal but for the caller of a leaf that
    has no table, which libdw passes over. ``returning`` are those that return from a signal, where
    libdw goes astray: all functions of the kernel side.
    """

    whole: int = 0
    part: int = 0
    skipping: int = 0
    bound: list[list[str]] = field(default_factory=list)
    returning: list[list[str]] = field(default_factory=list)
    other: list[tuple] = field(default_factory=list)

    def __str__(self):
        counts = f"{self.whole} equal, {self.part} as far as libdw had memory"
        return f"{counts}, {len(self.bound)} up to lazy binding, {len(self.other)} not"


def skips_caller(snapshot, pid, address):
    """Whether libdw passes over the caller of a leaf: it is in code without a table.

    libdw then takes rbp for the frame's (backends/x86_64_unwind.c), which it is not before a
    function has set it, nor where it returns. test_truth_stacks_of_jits.py has the truth there.
    """
    index = snapshot.lookup(np.array([address], np.uint64))[0]
    m = snapshot.mappings[index] if index >= 0 else None
    if m is None:
        return False
    if m.is_file:
        with Elf.open(m.path) as elf:
            row = row_at(table_of(elf).rows, address - m.start + m.offset)
        if unpack(np.array([row], np.uint64)).rule[0] != Rule.FP:
            return False
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(address)
        return memory.read(4).startswith(FRAME_IS_THE_CALLERS)


def compare(dumps, records, pid):
    """Compare the stacks of records with what libdw finds."""
    snapshot = Snapshot.of(read_maps(pid), executable_only=True)
    unwinder, names, result = libdw.Unwinder(pid), Names(), Compared()
    names.symbolizer.add_process(pid)
    try:
        for dump in records:
            mine, found = dumps.places(dump), unwinder.unwind(dump)
            theirs = [place(snapshot, address, called) for address, called in found]
            # libdw does not see that it is lost, the kernel side does, or knows the way: system
            # calls of stubs whose tables end before them.
            known = list(itertools.takewhile(lambda each: each[0] != "nowhere", theirs))
            lost = len(known) < len(theirs)
            if lost and dump["stack_status"] == NO_MAPPING:
                theirs = known
            if mine == theirs:
                result.whole += 1
            elif mine[: len(known)] == known and (unwinder.cut or lost):
                result.part += 1
            elif mine[: len(known)] == known and needs_rbx(snapshot, pid, found[-1][0], names):
                result.bound.append(functions(snapshot, pid, mine[len(known) :], names))
            elif in_sigreturn(pid, found[0][0], names):
                result.returning.append(functions(snapshot, pid, mine[-len(CALLED) :], names))
            elif mine[:1] + mine[2:] == theirs and skips_caller(snapshot, pid, found[0][0]):
                result.skipping += 1
            else:
                result.other.append((STACK_STATUSES[dump["stack_status"]], mine, theirs))
    finally:
        unwinder.close()
        names.symbolizer.close()
    return result


def until_loaded(pid):
    """Wait until a command has mapped its files: until nothing was mapped for half a second."""
    before, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.5)
        snapshot = Snapshot.of(read_maps(pid), executable_only=True)
        now = repr([(m.start, m.path) for m in snapshot.mappings if m.is_file]).encode()
        if now == before:
            return
        before = now


@contextmanager
def dumped(path, command):
    """A running command with its dumps; it is stopped and killed at the end."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            until_loaded(running.pid)
            dumps = Dumps(path, running.pid)
            try:
                yield running, dumps
            finally:
                dumps.close()
        finally:
            running.kill()


def on_clocks(dumps, hz=HZ):
    program = dumps.object.programs["on_clock"]
    clocks = [open_cpu_clock(cpu, hz) for cpu in online_cpus()]
    return [dumps.object.attach_perf_event(program, fd) for fd in clocks]


def compared(running, dumps, links):
    """Stop recording, and return what :func:`compare` does."""
    for link in links:
        link.close()
    running.send_signal(signal.SIGSTOP)
    return compare(dumps, dumps.drain(), running.pid)


@pytest.mark.parametrize("what", [*MODES, *COMMANDS])
def test_samples_are_those_of_libdw(dumper, tmp_path_factory, what):
    command = COMMANDS.get(what) or [chains(tmp_path_factory), what, "60"]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with dumped(dumper, command) as (running, dumps):
        links = on_clocks(dumps, 4 * HZ if what in LAZY else HZ)
        let_run(running.pid, 1)
        found = compared(running, dumps, links)
    print(f"{what}: {found}")
    assert not found.other, found.other[:3]
    # At the ends of functions of JITs, which have no tables.
    assert found.skipping <= (0.05 * found.whole if what == "node" else 0)
    assert found.whole + found.part > 200  # of 300 in 1 s of CPU time
    # A handler's caller lies in the stack that was left; and a page of 100 KB that the kernel
    # cannot read without a fault at that moment ends the dump, not the walk.
    assert found.whole > {"alternate": -1, "large": 50}.get(what, 200)
    # libdw ends at _dl_runtime_resolve in 0.2 % of the samples, those in which the function above
    # has not saved rbx yet or does not use it. The chain of the program is known.
    assert all(names == BINDING for names in found.bound)
    assert len(found.bound) <= (0.02 * found.whole if what in LAZY else 0)
    # Once in 10,000 samples it returns from a handler; what that interrupted is in the chain.
    assert all(names == CALLED for names in found.returning)
    assert len(found.returning) <= (0.01 * found.whole if "signals" in what else 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_programs_on_overlayfs(dumper, tmp_path, tmp_path_factory):
    """There the kernel's file is not the one that /proc/PID/maps shows."""
    program = Path(chains(tmp_path_factory))
    (tmp_path / "merged").mkdir()
    options = f"lowerdir={program.parent}:{tmp_path}"
    mount = ["mount", "-t", "overlay", "-o", options, "overlay", tmp_path / "merged"]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no overlayfs here")
    try:
        command = [tmp_path / "merged" / program.name, "plain", "60"]
        with dumped(dumper, command) as (running, dumps):
            links = on_clocks(dumps)
            let_run(running.pid, 1)
            found = compared(running, dumps, links)
    finally:
        subprocess.run(["umount", "-l", tmp_path / "merged"], check=True)
    assert (found.part, found.skipping, found.bound) == (0, 0, [])
    assert (found.returning, found.other) == ([], [])
    assert found.whole > 200


CALLS = "import time\ndef f(n): time.sleep(0.001) if n == 0 else f(n - 1)\nwhile True: f(5)"


@pytest.mark.parametrize("program", ["on_switch", "on_syscall", "on_call"])
def test_stacks_at_other_hooks_are_those_of_libdw(dumper, tmp_path_factory, program):
    busy, called = chains(tmp_path_factory), program == "on_call"
    command = [busy, "exceptions", "60"] if called else ["/usr/bin/python3", "-c", CALLS]
    with dumped(dumper, command) as (running, dumps):
        attached = dumps.object.programs[program]
        if called:
            link = attach_uprobe(attached, running.pid, busy, "catching")
        else:
            link = dumps.object.attach(attached)
        time.sleep(SECONDS)
        found = compared(running, dumps, [link])
    print(f"{program}: {found}")
    assert (found.bound, found.returning, found.other[:3]) == ([], [], [])
    assert found.whole > 50


def attach_uprobe(program, pid, path, function):
    """Attach to a function of a running program by its symbol."""
    with Elf.open(path) as elf:
        symbols = elf.symbols()
        (value,) = (
            int(row["value"])
            for row in symbols.table
            if symbols.strings[row["name"] :].split(b"\0", 1)[0] == function.encode()
        )
        (segment,) = (s for s in elf.loads if s.vaddr <= value < s.vaddr + s.memsz)
    attach = lib().bpf_program__attach_uprobe
    attach.restype = ctypes.c_void_p
    attach.argtypes = [*[ctypes.c_void_p], ctypes.c_bool, ctypes.c_int, ctypes.c_char_p,
                       ctypes.c_size_t]  # fmt: skip
    offset = value - segment.vaddr + segment.offset
    link = attach(program.handle, False, pid, path.encode(), offset)
    assert link
    return Link(link)
