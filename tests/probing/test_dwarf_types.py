"""Types from DWARF, compared with what the compiler makes of the same structs."""

import subprocess
from pathlib import Path

import pytest
from programs import compiled

from workbench.ctype import FLOAT, INT, POINTER, STRUCT
from workbench.probing import dwarf_types
from workbench.probing.dwarf_types import function
from workbench.symbols import places

TESTS = Path(__file__).parent.parent
OPTIONS = ("-pthread", "-include", str(TESTS / "sdt.h"))


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4", "-gdwarf-3"])
def program(request, tmp_path_factory):
    text = (TESTS / "probed.c").read_text()
    folder = tmp_path_factory.mktemp("dwarf")
    return compiled(folder, "probed", text, "gcc", "-O1", request.param, *OPTIONS)


def parameters(path, name):
    place = places.find(str(path), name)
    return function(place.path, place.address)


def test_numbers(program):
    found = parameters(program, "widths")
    kinds = [(kind.size, kind.signed) for _, kind in found.parameters]
    assert [name for name, _ in found.parameters] == list("abcdefgh")
    assert kinds == [(n, s) for s in (True, False) for n in (1, 2, 4, 8)]
    assert (found.returns.kind, found.returns.size, found.returns.signed) == (INT, 8, True)
    assert parameters(program, "nothing").returns.size == 0
    assert dict(parameters(program, "real").parameters)["x"].kind == FLOAT


def test_structs(program):
    (name, outer), (_, colour), (_, yes) = parameters(program, "look").parameters
    assert (name, outer.kind, outer.name) == ("o", POINTER, "outer *")
    members = outer.target().members()
    # As gcc lays them out on both platforms: the System V ABI, "Aggregates and Unions".
    places_of = {n: (m.bit_offset, m.bits) for n, m in members.items()}
    assert places_of == {
        **{"in": (0, 0), "flag": (64, 0), "s": (80, 0)},
        **{"low": (96, 3), "mid": (99, 7), "top": (106, 5)},
        **{"first": (128, 0), "bytes": (128, 0), "label": (192, 0), "numbers": (256, 0)},
    }
    assert members["in"].type().target().members()["next"].type().target().kind == STRUCT
    assert members["label"].type().target().char
    assert not members["bytes"].type().target().char
    assert members["numbers"].type().count == 4
    assert (colour.kind, colour.size, yes.size) == (INT, 4, 1)


def test_debug_files(program, tmp_path):
    stripped = tmp_path / "probed"
    debug = tmp_path / "probed.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", "-o", stripped, program], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", stripped], check=True)
    assert len(parameters(stripped, "widths").parameters) == 8


def test_classes_and_bases(tmp_path):
    text = """
    struct Base { int base; virtual int f(int n); };
    struct Thing : Base { long own; static int shared; int &ref; Thing(int &r) : ref(r) {}
                          int f(int n) override; };
    int Base::f(int n) { return n + base; }
    int Thing::f(int n) { return n + (int)own + ref; }
    """
    path = compiled(tmp_path, "lib.so", text, "g++", "-g", "-shared", "-fPIC")
    found = parameters(path, "Thing::f")
    assert [name for name, _ in found.parameters] == ["this", "n"]
    members = found.parameters[0][1].target().members()
    assert (members["base"].bit_offset, members["own"].bit_offset) == (64, 128)
    assert members["ref"].type().kind == POINTER
    assert "shared" not in members


def test_what_is_not_known(program, tmp_path):
    assert function(str(program), 0x1) is None
    assert function("/bin/true", 0x1000) is None
    assert function("/etc/passwd", 0) is None
    damaged = tmp_path / "damaged"
    data = bytearray(program.read_bytes())
    with places.open_program(str(program)) as elf:
        section = elf.sections[".debug_info"]
    data[section.offset : section.offset + section.size] = b"\xff" * section.size
    damaged.write_bytes(data)
    assert function(str(damaged), places.find(str(program), "widths").address) is None


def test_a_file_is_read_once_until_it_changes_or_is_let_go_of(tmp_path):
    path = compiled(tmp_path, "one", "int f(int a) { return a; } int g(long b) { return b; }"
                    " int main(void) { return 0; }", "gcc", "-g", "-O0")  # fmt: skip
    dwarf_types.forget()
    assert [n for n, _ in parameters(path, "f").parameters] == ["a"]
    assert [n for n, _ in parameters(path, "g").parameters] == ["b"]
    about = dwarf_types._read.cache_info()
    assert (about.misses, about.hits, about.currsize) == (1, 1, 1)
    compiled(tmp_path, "one", "int f(int other, int more) { return other + more; }"
             " int main(void) { return 0; }", "gcc", "-g", "-O0")  # fmt: skip
    assert [n for n, _ in parameters(path, "f").parameters] == ["other", "more"]
    dwarf_types.forget()
    assert dwarf_types._read.cache_info().currsize == 0
