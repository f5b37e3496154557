"""Finding the interpreter of a process: real ones, and what pretends to be one."""

import os
import shutil
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pystacks_interpreters import VERSIONS, Workload, interpreters
from pystacks_memory import Memory

from workbench.elf_format import SYMBOL, Segment, Symbols
from workbench.pystacks import interpreter as module
from workbench.pystacks.interpreter import PythonStatus, find_interpreter
from workbench.pystacks.layout import COOKIE, TABLE, debug_offsets
from workbench.symbols.mappings import Mapping, Snapshot


@contextmanager
def process(*command, **options):
    running = subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("python", interpreters())
def test_interpreters_of_this_machine(python):
    workload = Workload(interpreters()[python])
    try:
        found = find_interpreter(workload.pid)
    finally:
        workload.close()
    assert found.status == PythonStatus.OK
    assert found.initialised
    assert python.startswith(found.version)
    assert found.layout.is_sound()


WAIT = "print(1, flush=True); input()"


def test_virtual_environments(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    with process(tmp_path / "bin/python", "-c", WAIT) as running:
        assert running.stdout.read(1) == b"1"
        found = find_interpreter(running.pid)
    assert found.status == PythonStatus.OK
    assert found.version == ".".join(map(str, sys.version_info[:3]))


def test_the_name_of_the_executable_does_not_matter(tmp_path):
    """Nor whether it still has one, where it is the interpreter itself."""
    version = next((v for v in VERSIONS if Path(f"/usr/bin/python{v}").exists()), None)
    if version is None:
        pytest.skip("no Python of the system")
    copy = shutil.copy(f"/usr/bin/python{version}", tmp_path / "service")
    with process(copy, "-c", WAIT, env={**os.environ, "PYTHONHOME": "/usr"}) as running:
        assert running.stdout.read(1) == b"1"
        found = [find_interpreter(running.pid)]
        copy.unlink()
        found.append(find_interpreter(running.pid))
    assert [each.status for each in found] == [PythonStatus.OK] * 2
    assert found[0].version.startswith(version)


def test_processes_without_python():
    with process("sleep", 60) as running:
        deadline = time.monotonic() + 5
        while find_interpreter(running.pid).status != PythonStatus.NONE:
            assert time.monotonic() < deadline
    assert find_interpreter(running.pid).status == PythonStatus.UNREADABLE


def test_files_that_are_only_called_so(tmp_path):
    for name, content in (("python3.12", b"\x7fELF" + bytes(200)), ("libpython3.12.so", b"text")):
        (tmp_path / name).write_bytes(content * 100)
    code = (
        "import mmap, sys\n"
        "for name in sys.argv[1:]:\n"
        " file = open(name, 'rb')\n"
        " globals()[name] = mmap.mmap(file.fileno(), 0, prot=1)\n"
        "print(1, flush=True); input()"
    )
    paths = [tmp_path / "python3.12", tmp_path / "libpython3.12.so"]
    with process(sys.executable, "-c", code, *paths) as running:
        assert running.stdout.read(1) == b"1"
        assert find_interpreter(running.pid).status == PythonStatus.OK


def test_candidates():
    names = (
        *("/usr/bin/python3.12", "/opt/x/libpython3.14t.so.1.0", "/usr/bin/app", "/lib/libc.so.6"),
        *("/x/_ssl.cpython-312-x86_64-linux-gnu.so", "/x/python/data.bin", "/x/libboost_python.so"),
    )
    mappings = [
        Mapping(at << 12, (at + 1) << 12, False, 0, (8, 1), at + 1, name, False)
        for at, name in enumerate(names, 1)
    ]
    found = module._candidates(mappings * 2, (99, "/usr/bin/app"))
    assert found == module._candidates(mappings, (4, "/other"))
    assert [each.path for each in found] == [names[1], names[0], names[2]]
    many = [Mapping(n, n + 1, False, 0, (8, 1), n, f"/python{n}", False) for n in range(1, 99)]
    assert len(module._candidates(many, (0, ""))) == module.MAX_CANDIDATES


def symbols(**values):
    strings, rows = b"\0", []
    for name, value in values.items():
        rows.append((value, 0, len(strings) + 2, 1, 0, 0))
        strings += b"xx" + name.encode() + b"\0"  # names may be tails of others
    return Symbols(np.array(rows, SYMBOL), strings)


def test_symbols():
    table = symbols(_PyRuntime=5, Py_Version=6)
    assert module._addresses(table) == [5, 6, 0]
    table.table["shndx"] = 0  # imported, as extensions do
    assert module._addresses(table) == [0, 0, 0]
    assert module._addresses(Symbols()) == [0, 0, 0]


VERSION = 0x030C01F0


def found_in(number=VERSION, head=b"", bits=64, **changes):
    layout = TABLE[3, 12]
    memory = Memory(b"")
    interpreter = memory.put(bytes(256))
    thread = memory.put(bytes(256))
    runtime = bytearray(head.ljust(2048, b"\0"))
    struct.pack_into("<Q", runtime, layout.runtime_interpreter, changes.get("first", interpreter))
    at = memory.put(bytes(runtime))
    for address, value in (
        (interpreter + layout.interpreter_thread, thread),
        (interpreter + layout.interpreter_next, changes.get("next", 0)),
        (thread + layout.thread_interpreter, changes.get("back", interpreter)),
    ):
        struct.pack_into("<Q", memory.content, address - memory.base, value)
    version = memory.put(struct.pack("<Q", number))
    facts = module._Facts(bits, (at, changes.get("version", version), 1), ())
    mapping = Mapping(0, 1, False, 0, (8, 1), 1, "/python", False)
    return module._interpreter(memory, mapping, facts)


def offsets(version, *words):
    count = len(debug_offsets(COOKIE + bytes(2000), version))
    return COOKIE + struct.pack(f"<{count}Q", *words, *[0] * (count - len(words)))


def test_a_made_up_process():
    found = found_in()
    assert (found.status, found.version, found.initialised) == (PythonStatus.OK, "3.12.1", True)
    assert found_in(first=0).initialised is False


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (PythonStatus.VERSION, {"number": 0x030A0DF0}),
        (PythonStatus.VERSION, {"number": 0x030F00F0}),
        (PythonStatus.VERSION, {"number": 0x030C00A1}),  # 3.12.0a1
        (PythonStatus.VERSION, {"number": 0x1030C01F0}),
        (PythonStatus.VERSION, {"version": 0}),
        (PythonStatus.UNREADABLE, {"number": 0}),
        (PythonStatus.UNREADABLE, {"version": 1}),
        (PythonStatus.MACHINE, {"bits": 32}),
        (PythonStatus.LAYOUT, {"back": 0x10008}),
        (PythonStatus.LAYOUT, {"head": b"", "number": 0x030D00F0}),
        (PythonStatus.LAYOUT, {"head": COOKIE}),
        (PythonStatus.LAYOUT, {"head": offsets((3, 13), 0x030D00F0), "number": 0x030D00F0}),
        (PythonStatus.LAYOUT, {"head": offsets((3, 13), 0x030D01F0), "number": 0x030D00F0}),
        (
            PythonStatus.FREE_THREADED,
            {"head": offsets((3, 14), 0x030E00F0, 1), "number": 0x030E00F0},
        ),
    ],
)
def test_what_is_not_supported_is_said(status, options):
    found = found_in(**options)
    assert found.status == status
    assert found.layout is None


def test_rings_of_interpreters_end():
    memory = Memory(b"")
    layout = TABLE[3, 12]
    interpreter = memory.put(bytes(256))
    struct.pack_into("<Q", memory.content, layout.interpreter_next, interpreter)
    runtime = memory.put(struct.pack("<6Q", 0, 0, 0, 0, 0, interpreter))
    assert module._check(memory, layout, runtime) == (PythonStatus.OK, False)
    assert memory.reads < 3 * module.MAX_INTERPRETERS


def test_bias():
    segments = (Segment(1, 4, 0, 0, 0x1000, 0x1000), Segment(1, 5, 0x1010, 0x3010, 0x800, 0x800))
    first = Mapping(0x7000, 0x8000, False, 0, (8, 1), 1, "/x", False)
    second = Mapping(0xA000, 0xB000, False, 0x1000, (8, 1), 1, "/x", False)
    assert module._bias(first, segments) == module._bias(second, segments) == 0x7000
    assert module._bias(first, ()) == 0


def test_maps_that_make_no_sense(tmp_path):
    folder = tmp_path / "5"
    folder.mkdir()
    (folder / "maps").write_bytes(b"\xff\0garbage\n7f00-1000 r--p x 0:0 9 /python\n")
    assert Snapshot.of(b"").mappings == ()
    assert find_interpreter(5, tmp_path).status == PythonStatus.NONE
