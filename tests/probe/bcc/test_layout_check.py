"""The check of layouts finds the two faults that it was made for, and no others."""

import subprocess
from pathlib import Path

import pytest
from compile_bpf import PROGRAM, compile_bpf

from workbench.probe.bcc import layout_check, tree
from workbench.probe.btf import Btf
from workbench.probe.objects import Object

TYPES = """
enum one { A } __attribute__((mode(byte)));
struct small { enum one e; unsigned char next; int after; } *small;
struct padded { int a; int last __attribute__((aligned(64))); } __attribute__((aligned(64)));
struct holds { char c; struct padded p; int behind; } *holds;
struct plain { int x; struct { short y; union { int u; char v; }; }; unsigned f : 3; char z; } *pl;
struct bits { unsigned long a : 60, b : 60, c : 20; int end; } *bits;
"""

# As struct ec_response_get_next_event_v3 of Linux 6.12.
PACKED = """
#define packed __attribute__((packed))
union loose { unsigned int word; unsigned char bytes[7]; } packed;
struct odd { unsigned char type; union loose data; } packed;
struct around { unsigned short head; struct odd odd[2]; unsigned short tail; } *around;
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """BTF that stands for a kernel's: the file, and its content."""
    folder = tmp_path_factory.mktemp("btf")
    path = compile_bpf(folder, TYPES + PROGRAM)
    with Object(path) as obj:
        return path, obj.btf


def make(tmp_path: Path, types: str) -> Path:
    for name, text in ((tree.KCONFIG, '#include "../workbench/types.h"\n'), (tree.TYPES, types)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_places(kernel):
    found = {(struct, member): at for struct, member, at in layout_check.places(kernel[1])}
    assert found["struct plain", "v"] == 8
    assert found["struct holds", "behind"] == 192
    assert ("struct plain", "f") not in found  # no bit field has an address


def test_a_mended_tree_is_right(kernel, tmp_path):
    path, btf = kernel
    place = make(tmp_path, tree.guarded(tree.mended(tree.dumped(path), btf)))
    wanted = layout_check.places(btf)
    assert {"struct padded", "struct small", "struct bits"} <= {struct for struct, _, _ in wanted}
    assert layout_check.wrong_places(place, wanted) == []


def test_enums_without_their_size_are_found(kernel, tmp_path):
    path, btf = kernel
    text = tree.dumped(path).replace("__attribute__((mode(byte)))", "")
    place = make(tmp_path, tree.mended(text, Btf((), {})))
    wrong = layout_check.wrong_places(place, layout_check.places(btf))
    assert {struct for struct, _, _ in wrong} == {"struct small"}


def test_unnamed_padding_is_found(kernel, tmp_path):
    """The front end sees nothing wrong in it: only code that was generated BCC's way does."""
    path, btf = kernel
    text = tree.dumped(path)
    if ": 64;" not in text:
        pytest.skip("this bpftool pads in another way")
    mended = tree.mended(text, btf)
    padding = [line for line in text.splitlines() if line.endswith(": 64;")]
    unnamed = mended
    for number, line in enumerate(padding, 1):
        unnamed = unnamed.replace(f"long wb_pad_{number};", line.strip())
    place = make(tmp_path, unnamed)
    wanted = layout_check.places(btf)
    wrong = layout_check.wrong_places(place, wanted)
    assert wrong
    assert layout_check._by_front_end(place, tmp_path, wanted) == []


def test_unions_of_packed_structs(tmp_path):
    path = compile_bpf(tmp_path, PACKED + PROGRAM)
    with Object(path) as obj:
        btf = obj.btf
    place = make(tmp_path, tree.guarded(tree.mended(tree.dumped(path), btf)))
    wanted = layout_check.places(btf)
    wrong = {struct for struct, _, _ in layout_check.wrong_places(place, wanted)}
    if not wrong:
        pytest.skip("this bpftool says that they are packed")
    assert wrong == {"struct odd", "struct around"}
    faulty = layout_check.innermost(btf, wrong)
    assert faulty == {"struct odd", "union loose"}
    tree.pack(place, faulty)
    assert layout_check.wrong_places(place, wanted) == []


def test_a_member_elsewhere(kernel, tmp_path):
    path, btf = kernel
    place = make(tmp_path, tree.mended(tree.dumped(path), btf))
    wanted = [("struct plain", "x", 0), ("struct plain", "z", 1), ("struct bits", "end", 4)]
    assert layout_check.wrong_places(place, wanted) == wanted[1:]


def test_what_is_read_off_the_code():
    code = "wb_0:\n\tr0 = r1\n\tr0 += 24\n\texit\nwb_1:\n\tr0 = r1\n\texit\n"
    assert layout_check._offsets(code) == {0: 24, 1: 0}
    assert subprocess.run(["clang", "--version"], check=True, capture_output=True).stdout
