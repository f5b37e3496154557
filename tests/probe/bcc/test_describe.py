"""BCC's descriptions of tables, against what the C compiler makes of the same structs."""

import subprocess

import numpy as np
import pytest
from programs import compiled

from workbench.errors import ObjectFormatError
from workbench.probe.bcc.describe import described
from workbench.probe.column_type import Bits, Opaque, Scalar, Text

# As BCC 0.26 describes struct key { u32 pid; struct in i; union u u; u64 arr[3]; s16 neg; }.
KEY = """["key", [["pid","unsigned int"], ["i",["in", [["a","unsigned char"],
["b","unsigned int", 3], ["c","unsigned int", 5], ["s","char", [5]] ], "struct"]],
["__pad_2","char",[4]], ["u",["", [["v4","unsigned int"], ["v6","unsigned long long"] ], "union"]],
["arr","unsigned long long", [3]], ["neg","short"], ["__pad_end","char",[6]] ], "struct_packed"]"""


KEY_IN_C = """
#include <stdio.h>
#include <string.h>
struct in { unsigned char a; unsigned int b : 3, c : 5; char s[5]; };
struct key { unsigned pid; struct in i; union { unsigned v4; unsigned long v6; } u;
    unsigned long arr[3]; short neg; };
int main(void) {
    struct key k;
    memset(&k, 0, sizeof(k));
    k.pid = 7; k.i.a = 200; k.i.b = 5; k.i.c = 31; strcpy(k.i.s, "abc"); k.u.v6 = 1UL << 40;
    for (int i = 0; i < 3; i++) k.arr[i] = i + 1;
    k.neg = -4;
    fwrite(&k, sizeof(k), 1, stdout);
    return 0;
}
"""


def test_structs_are_those_of_c(tmp_path):
    program = compiled(tmp_path, "key", KEY_IN_C, "cc")
    data = subprocess.run([program], check=True, capture_output=True).stdout
    kind = described(KEY)
    assert kind.size == len(data)
    assert kind.array(np.frombuffer(data, np.uint8)[None]).to_pylist() == [
        {
            "pid": 7,
            "i": {"a": 200, "b": 5, "c": 31, "s": "abc"},
            "u": {"v4": 0, "v6": 1 << 40},
            "arr": [1, 2, 3],
            "neg": -4,
        }
    ]


def test_numbers():
    assert described('"unsigned long long"') == Scalar(np.dtype("u8"))
    assert described('"_Bool"') == Scalar(np.dtype("?"))
    assert described('"unsigned __int128"') == Opaque(16)
    two = described('["s", [["m","int",[2,3]], ["t","char",[4]]], "struct"]')
    assert two.size == 28
    assert two.members[0].type.count == 2
    assert two.members[1].type == Text(4)


def test_members_of_unnamed_structs_are_their_parents():
    kind = described('["s", [["a","char"], ["",["", [["b","int"]], "struct"]]], "struct"]')
    assert [(m.name, m.offset) for m in kind.members] == [("a", 0), ("b", 4)]


def test_bit_fields_that_would_cross_their_type():
    kind = described('["s", [["a","int",20], ["b","int",20], ["c","int"]], "struct"]')
    assert [(m.offset, m.type) for m in kind.members[:2]] == [
        (0, Bits(0, 20, True)),
        (4, Bits(0, 20, True)),
    ]
    assert kind.members[2].offset == 8


@pytest.mark.parametrize("text", ["", "{}", '"nothing"', '["s", 1, "struct"]', '["s"]'])
def test_what_is_no_description(text):
    with pytest.raises(ObjectFormatError, match="not known"):
        described(text)
