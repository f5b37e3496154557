import random
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
from programs import compiled, lines_of, with_mini_debuginfo

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.symbols import demangle
from workbench.symbols.debug_files import DebugFiles
from workbench.symbols.elf_symbols import function_symbols

SOURCE = """
__asm__(".text\\n.globl assembled\\nassembled: nop\\nnop\\nnop\\nret\\n.Lprivate: nop\\n");
static int __attribute__((noinline, aligned(64))) hidden(int x) { return x * 3 + 1; }
int __attribute__((noinline)) visible(int x) { return hidden(x) + 2; }
int longer_alias(int) __attribute__((alias("visible")));
int weak_one(int) __attribute__((weak, alias("visible")));
int data_object = 5;
int main(int n, char **a) { return visible(n); }
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("symbols")


def symbols_of(path, separate=None):
    with Elf.open(path) as elf, Elf.open(separate or path) as helper:
        return function_symbols(elf, helper if separate else None)


def name_at(symbols, address):
    index = symbols.lookup(np.array([address], np.uint64))[0]
    return symbols.name(int(index)) if index >= 0 else None


def nm(path, *options):
    """Return (address, size or None, type, name) as binutils see them."""
    rows = []
    for line in lines_of("nm", "-S", "--defined-only", *options, path):
        found = re.match(r"([0-9a-f]{16})(?: ([0-9a-f]{16}))? (\w) (\S+)", line)
        if found:
            size = int(found[2], 16) if found[2] else None
            rows.append((int(found[1], 16), size, found[3], found[4]))
    return rows


@pytest.mark.parametrize("flags", [("-pie", "-fPIE"), ("-no-pie",), ("-static",)])
def test_every_function_of_nm(directory, flags):
    path = compiled(directory, "f" + flags[0], SOURCE, "gcc", "-O1", *flags)
    symbols = symbols_of(path)
    checked = 0
    names = {}
    for address, size, kind, name in nm(path):
        if kind in "tTwWi" and size:
            names.setdefault(address, set()).add(name.partition("@")[0])
    for address, size, kind, _ in nm(path):
        if kind not in "tTwWi" or not size:
            continue
        for place in (address, address + size - 1):
            # A smaller function may begin inside: then it is the answer.
            begins = [start for start in names if address < start <= place]
            assert name_at(symbols, place) in names[max(begins, default=address)]
        checked += 1
    assert checked > (500 if flags == ("-static",) else 4)


def test_aliases_sizes_and_labels(directory):
    path = compiled(directory, "aliases", SOURCE, "gcc", "-O1", "-no-pie")
    symbols = symbols_of(path)
    places = {name: (address, size) for address, size, _, name in nm(path)}
    address, size = places["hidden"]
    assert name_at(symbols, address) == name_at(symbols, address + size - 1) == "hidden"
    assert name_at(symbols, address + size) != "hidden"
    assert name_at(symbols, address - 1) != "hidden"
    assert name_at(symbols, places["visible"][0]) == "visible"
    assert name_at(symbols, places["data_object"][0]) is None
    # No size: it reaches to the next symbol; the label is not one.
    assert name_at(symbols, places["assembled"][0] + 4) == "assembled"


def test_weak_and_local_names_come_last(directory):
    source = """
    static int __attribute__((noinline)) l(int x) { return x + 1; }
    int global_name(int) __attribute__((alias("l")));
    int w(int) __attribute__((weak, alias("l")));
    int main(int n, char **a) { return l(n); }
    """
    path = compiled(directory, "weak", source, "gcc", "-O1")
    places = {name: address for address, _, _, name in nm(path)}
    assert places["l"] == places["w"] == places["global_name"]
    assert name_at(symbols_of(path), places["l"]) == "global_name"


def test_stripped_files_and_their_debug_files(directory):
    path = compiled(directory, "whole", SOURCE, "gcc", "-O1", "-rdynamic")
    address = {name: address for address, _, _, name in nm(path)}
    debug, stripped = directory / "whole.debug", directory / "stripped"
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["strip", "-o", stripped, path], check=True)
    alone = symbols_of(stripped)
    assert name_at(alone, address["visible"]) == "visible"
    assert name_at(alone, address["hidden"]) is None
    assert name_at(alone, address["assembled"]) == "assembled"
    assert name_at(alone, address["assembled"] + 1) is None
    helped = symbols_of(stripped, debug)
    whole = symbols_of(path)
    assert name_at(helped, address["hidden"]) == "hidden"
    assert name_at(helped, address["assembled"] + 1) == "assembled"
    names = [[each.name(i) for i in range(len(each))] for each in (helped, whole)]
    assert names[0] == names[1]
    # A debug file whose symbols are damaged counts for nothing.
    with Elf.open(debug) as elf:
        table = next(each for each in elf.section_list if each.name == ".symtab")
    content = bytearray(debug.read_bytes())
    at = int.from_bytes(content[40:48], "little") + 64 * table.index + 24
    content[at : at + 8] = (2**62).to_bytes(8, "little")
    debug.write_bytes(content)
    assert name_at(symbols_of(stripped, debug), address["hidden"]) is None


def test_symbols_that_a_stripped_file_carries_along(directory):
    path = compiled(directory, "carrier", SOURCE, "gcc", "-O1", "-rdynamic")
    address = {name: address for address, _, _, name in nm(path)}
    stripped = with_mini_debuginfo(path, directory / "carrying", ["hidden"])
    assert "hidden" not in " ".join(lines_of("nm", "-D", stripped))
    symbols = symbols_of(stripped)
    for name in ("hidden", "visible", "main"):
        assert name_at(symbols, address[name]) == name_at(symbols, address[name] + 1) == name


def test_versions_are_not_part_of_names(directory):
    source = '__asm__(".symver impl, real@@VERS_1"); int impl(void) { return 1; }'
    (directory / "map").write_text("VERS_1 { global: real; local: *; };")
    flags = ("-shared", "-fPIC", f"-Wl,--version-script={directory / 'map'}")
    path = compiled(directory, "versioned", source, "gcc", *flags)
    address = next(address for address, _, _, name in nm(path) if name.startswith("real@@"))
    assert name_at(symbols_of(path), address) == "real"


@pytest.mark.skipif(not demangle.available, reason="pydemumble is not installed")
def test_cxx_names_are_readable(directory):
    source = "namespace a { struct b { int c(int); }; int b::c(int x) { return x; } }"
    path = compiled(directory, "cxx", source, "g++", "-x", "c++", "-c")
    assert name_at(symbols_of(path), 0) == "a::b::c(int)"


def test_c_library_agrees_with_gdb_and_addr2line(directory):
    libc = next(
        (
            line.split("=> ")[1].split(" (")[0]
            for line in lines_of("ldd", "/bin/ls")
            if "libc." in line
        ),
        None,
    )
    if libc is None or shutil.which("gdb") is None:
        pytest.skip("needs gdb and a C library")
    with Elf.open(libc) as elf:
        separate = DebugFiles().find(elf, libc)
        symbols = function_symbols(elf, separate)
    if separate is not None:
        separate.close()
    rng = random.Random(3)
    low, high = int(symbols.starts[0]), int(symbols.ends[-1])
    addresses = [rng.randrange(low, high) for _ in range(300)]
    script = directory / "gdb.txt"
    script.write_text("".join(f"info symbol {address:#x}\n" for address in addresses))
    lines = lines_of("gdb", "-nx", "-batch", "-x", script, libc)
    answers = [line for line in lines if " in section " in line or line.startswith("No symbol m")]
    assert len(answers) == len(addresses)
    agree = named = 0
    for address, answer in zip(addresses, answers, strict=True):
        ours = name_at(symbols, address)
        theirs = None if answer.startswith("No") else answer.split()[0]
        if ours is None or theirs is None:
            continue
        named += 1
        index = int(symbols.lookup(np.array([address], np.uint64))[0])
        # Aliases of one address are a matter of choice: the address decides.
        offset = int(answer.split()[2]) if answer.split()[1] == "+" else 0
        agree += ours == theirs or int(symbols.starts[index]) == address - offset
    assert named > 200
    assert agree == named


def test_speed(directory):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    started = time.thread_time()
    symbols = symbols_of(node)
    loaded = time.thread_time() - started
    rng = np.random.default_rng(1)
    addresses = rng.integers(int(symbols.starts[0]), int(symbols.ends[-1]), 10_000)
    started = time.thread_time()
    symbols.lookup(addresses.astype(np.uint64))
    assert loaded < 1.0  # 0.14 s; the goal is 0.5 s on a quiet machine
    assert time.thread_time() - started < 0.05


def test_damaged_files_are_read_or_refused(directory):
    whole = compiled(directory, "damaged", SOURCE, "gcc", "-O1").read_bytes()
    rng = random.Random(7)
    outcomes = {True: 0, False: 0}
    slowest = 0.0
    tables = int.from_bytes(whole[40:48], "little")
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            at = rng.choice(
                (rng.randrange(64), rng.randrange(tables, len(data)), rng.randrange(len(data)))
            )
            value = rng.choice(
                (0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, rng.getrandbits(64))
            )
            data[at : at + 8] = value.to_bytes(8, "little")
        started = time.perf_counter()
        try:
            with Elf.open(bytes(data)) as elf:
                symbols = function_symbols(elf)
            symbols.lookup(np.arange(0, 2**16, 99, dtype=np.uint64))
            [symbols.name(index) for index in range(len(symbols))]
            outcomes[True] += 1
        except ObjectFormatError:
            outcomes[False] += 1
        slowest = max(slowest, time.perf_counter() - started)
    assert min(outcomes.values()) > 100
    assert slowest < 1
