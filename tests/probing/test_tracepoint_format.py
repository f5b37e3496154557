"""Formats of tracepoints."""

import pytest

from workbench.ctype import ARRAY, INT, POINTER
from workbench.probe import tracefs
from workbench.probing.operands import KERNEL, TEXT_AT, USER
from workbench.probing.tracepoint_format import parse

TEXT = """name: some
ID: 7
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:const char * filename;\toffset:32;\tsize:8;\tsigned:0;
\tfield:void * ptr;\toffset:40;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:48;\tsize:4;\tsigned:0;
\tfield:__data_loc u8[] raw;\toffset:52;\tsize:4;\tsigned:0;
\tfield:__rel_loc char[] relative;\toffset:56;\tsize:4;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:60;\tsize:4;\tsigned:0;
\tfield:unsigned long args[6];\toffset:64;\tsize:48;\tsigned:0;
\tfield:int dfd;\toffset:120;\tsize:8;\tsigned:0;
\tfield:umode_t mode;\toffset:128;\tsize:8;\tsigned:0;
\tfield:bool yes;\toffset:112;\tsize:1;\tsigned:0;

print fmt: "x=%d", REC->x
"""


def test_fields():
    found = parse(TEXT, USER, "the format")
    operands = found.operands
    assert operands["prev_pid"].chain == (24,)
    assert (operands["prev_pid"].type.size, operands["prev_pid"].type.signed) == (4, True)
    comm = operands["prev_comm"]
    assert (comm.type.kind, comm.type.size, comm.type.target().char) == (ARRAY, 16, True)
    assert operands["filename"].value().chain == (32, 0)
    assert operands["filename"].value().memory == (KERNEL, USER)
    assert operands["ptr"].value().type.kind == POINTER
    assert operands["path"].read == TEXT_AT
    assert operands["saddr"].item(3).chain == (63,)
    assert operands["args"].item(5).chain == (104,)
    assert operands["yes"].type.kind == INT
    narrow = {n: (operands[n].type.size, operands[n].type.signed) for n in ("dfd", "mode")}
    assert narrow == {"dfd": (4, True), "mode": (2, False)}
    assert set(found.reasons) == {"raw", "relative"}
    assert "common_type" in operands


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("category", "name"),
    [("sched", "sched_switch"), ("syscalls", "sys_enter_openat"), ("irq", "irq_handler_entry")],
)
def test_real_formats(category, name):
    _, text = tracefs.read(category, name)
    found = parse(text, USER, "")
    count = sum(line.startswith("\tfield:") for line in text.splitlines())
    assert len(found.operands) + len(found.reasons) == count


def test_other_texts():
    assert parse("", USER, "").operands == {}
    assert parse("\tfield:x\n\tfield:;\toffset:1;\tsize:2;\n", USER, "").operands == {}
