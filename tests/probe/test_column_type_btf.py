"""Types from BTF, against what the C compiler of this machine makes of the same text."""

import subprocess

import numpy as np
import pytest
from compile_bpf import PROGRAM, compile_bpf
from programs import compiled

from workbench.errors import ObjectFormatError
from workbench.probe import btf as b
from workbench.probe.btf import Btf
from workbench.probe.column_type import Array, Scalar, Text
from workbench.probe.column_type_btf import by_name, column_type, loaded_btf
from workbench.probe.objects import Object

TYPES = """
enum colour { RED, GREEN = 70000 };
enum sign { MINUS = -1, PLUS = 1 };
struct inner { unsigned char a; unsigned int b : 3, c : 13; signed int d : 6; char s[5]; };
union address { unsigned int v4; unsigned char v6[16]; };
struct outer {
    unsigned long long ts;
    _Bool ok;
    char comm[16];
    struct inner in[2];
    union address to;
    struct { short x; union { int y; float z; }; };
    enum colour colour;
    enum sign sign;
    void *pointer;
    double ratio;
    unsigned int matrix[2][3];
    unsigned long long wide : 40, rest : 24;
} __attribute__((packed, aligned(4)));
"""
FILL = """
#include <stdio.h>
#include <string.h>
int main(void) {
    struct outer o;
    memset(&o, 0, sizeof(o));
    o.ts = 1ULL << 63; o.ok = 1; strcpy(o.comm, "worker");
    o.in[0].a = 200; o.in[0].b = 5; o.in[0].c = 8000; o.in[0].d = -7; strcpy(o.in[0].s, "abcd");
    o.in[1].d = 31; memcpy(o.in[1].s, "12345", 5);
    o.to.v4 = 0x0100007f; o.x = -2; o.z = 1.5f; o.colour = GREEN; o.sign = MINUS;
    o.pointer = (void *)0xffff888000000000UL; o.ratio = -0.25;
    for (int i = 0; i < 6; i++) ((unsigned int *)o.matrix)[i] = i + 1;
    o.wide = 0xabcdef0123ULL; o.rest = 0x123456;
    fwrite(&o, sizeof(o), 1, stdout);
    return 0;
}
"""
WANTED = {
    "ts": 1 << 63,
    "ok": True,
    "comm": "worker",
    "in": [
        {"a": 200, "b": 5, "c": 8000, "d": -7, "s": "abcd"},
        {"a": 0, "b": 0, "c": 0, "d": 31, "s": "12345"},
    ],
    "to": {"v4": 0x0100007F, "v6": [127, 0, 0, 1] + [0] * 12},
    "x": -2,
    "y": 0x3FC00000,
    "z": 1.5,
    "colour": 70000,
    "sign": -1,
    "pointer": 0xFFFF888000000000,
    "ratio": -0.25,
    "matrix": [[1, 2, 3], [4, 5, 6]],
    "wide": 0xABCDEF0123,
    "rest": 0x123456,
}


@pytest.fixture(scope="module")
def btf(tmp_path_factory):
    more = "struct incomplete; struct tail { int n; int rest[]; };\n"
    more += "struct outer *o; struct incomplete *i; struct tail *t; __int128 *big;\n"
    more += "struct holds { struct incomplete *p; } *h; typedef struct outer named; named *nn;\n"
    path = compile_bpf(tmp_path_factory.mktemp("bpf"), TYPES + more + PROGRAM)
    with Object(path) as obj:
        return obj.btf


def test_the_compiler_agrees(btf, tmp_path):
    program = compiled(tmp_path, "fill", TYPES + FILL, "cc")
    data = subprocess.run([program], check=True, capture_output=True).stdout
    kind = by_name(btf, "outer")
    assert kind.size == len(data)
    rows = np.frombuffer(data * 3, np.uint8).reshape(3, -1)
    assert kind.array(rows).to_pylist() == [WANTED] * 3
    without = {k: v for k, v in WANTED.items() if k != "y"}  # it shares its bytes with z
    without["to"] = {"v6": WANTED["to"]["v6"]}
    assert kind.pack(without) == data


def test_names(btf):
    assert by_name(btf, "named").size == by_name(btf, "outer").size
    assert by_name(btf, "address").union
    with pytest.raises(ObjectFormatError, match="no type nothing"):
        by_name(btf, "nothing")


def test_flexible_arrays_are_no_columns(btf):
    assert by_name(btf, "tail").names == ["n"]


def test_types_that_are_not_complete(btf):
    number = btf.by_name[b.FWD, "incomplete"]
    with pytest.raises(ObjectFormatError, match="not complete"):
        column_type(btf, number)
    assert by_name(btf, "holds").size == 8  # a pointer to it is a number


def chain(*types):
    return Btf((b.Type(0, "void"), *types), {})


def test_hostile_types():
    itself = b.Member("m", 1, 0, 0)
    with pytest.raises(ObjectFormatError):
        column_type(chain(b.Type(b.STRUCT, "s", size=8, members=(itself,))), 1)
    byte = b.Type(b.INT, "char", size=1, signed=True)
    outside = b.Type(b.STRUCT, "s", size=1, members=(b.Member("m", 2, 8, 0),))
    with pytest.raises(ObjectFormatError, match="outside"):
        column_type(chain(outside, byte), 1)
    twice = tuple(b.Member("m", 2, 0, 0) for _ in range(2))
    with pytest.raises(ObjectFormatError, match="two members"):
        column_type(chain(b.Type(b.STRUCT, "s", size=1, members=twice), byte), 1)
    with pytest.raises(ObjectFormatError, match="too large"):
        column_type(chain(b.Type(b.ARRAY, "", type_id=2, count=1 << 30), byte), 1)
    with pytest.raises(ObjectFormatError, match="too large"):
        column_type(chain(b.Type(b.STRUCT, "s", size=1 << 30)), 1)


def test_arrays_of_char_are_texts_and_others_are_not():
    types = chain(
        b.Type(b.ARRAY, "", type_id=2, count=3),
        b.Type(b.INT, "char", size=1, signed=True),
        b.Type(b.ARRAY, "", type_id=4, count=3),
        b.Type(b.INT, "unsigned char", size=1),
        b.Type(b.INT, "__int128", size=16),
        b.Type(b.FLOAT, "float", size=4),
    )
    assert column_type(types, 1) == Text(3)
    assert column_type(types, 3) == Array(Scalar(np.dtype("u1")), 3)
    assert column_type(types, 5).size == 16
    assert column_type(types, 6) == Scalar(np.dtype("f4"))


@pytest.mark.kernel
def test_there_is_no_btf_of_that_number():
    assert loaded_btf(0) is None
    assert loaded_btf((1 << 31) - 1) is None
