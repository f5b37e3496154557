"""Structs of tracepoints, without tracefs, against what BCC makes with it."""

import subprocess

import pytest

from workbench.errors import AttachError
from workbench.probe import support, tracefs
from workbench.probe.bcc import tracepoints

FORMAT = """name: sample
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;
\tfield:u8 ok;\toffset:28;\tsize:1;\tsigned:0;
\tfield:const char * file;\toffset:32;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:40;\tsize:4;\tsigned:0;
\tfield:unsigned long args[6];\toffset:48;\tsize:48;\tsigned:0;
\tfield:long prev_state;\toffset:96;\tsize:8;\tsigned:1;
\tfield:dev_t dev;\toffset:104;\tsize:4;\tsigned:0;

print fmt: "x"
"""


def test_a_struct_has_the_places_of_the_format(tmp_path):
    text = tracepoints.struct("cat", "sample", FORMAT)
    assert "data_loc_name" in text
    members = {"comm": (8, 16), "data_loc_name": (24, 4), "ok": (28, 1), "file": (32, 8)}
    members |= {"saddr": (40, 4), "args": (48, 48), "prev_state": (96, 8), "dev": (104, 4)}
    struct = "struct tracepoint__cat__sample"
    checks = "".join(
        f"_Static_assert(__builtin_offsetof({struct}, {name}) == {offset} && "
        f'sizeof((({struct} *)0)->{name}) == {size}, "{name}");\n'
        for name, (offset, size) in members.items()
    )
    types = "typedef unsigned char u8; typedef unsigned int u32; typedef long long s64;"
    types += "typedef unsigned long long u64; typedef int s32;\n"
    source = tmp_path / "check.c"
    source.write_text(types + text + checks + "int main(void) { return 0; }\n")
    subprocess.run(["cc", "-fsyntax-only", source], check=True)


@pytest.mark.kernel
def test_every_tracepoint_of_a_program(monkeypatch):
    monkeypatch.setattr(support, "tracefs", lambda: None)
    text = tracepoints.structs(
        "TRACEPOINT_PROBE(sched, sched_switch) { }\n"
        "int f(struct tracepoint__raw_syscalls__sys_enter *args)\n"
        "TRACEPOINT_PROBE( sched , sched_switch ) { }"
    )
    assert text.count("\n") == 2
    assert "struct tracepoint__sched__sched_switch { " in text
    assert "char prev_comm[16];" in text
    with pytest.raises(AttachError, match="sched:nothing"):
        tracepoints.structs("TRACEPOINT_PROBE(sched, nothing)")


def test_bcc_makes_them_itself_where_it_can(monkeypatch, tmp_path):
    monkeypatch.setattr(support, "tracefs", lambda: tmp_path)
    monkeypatch.setattr(tracefs, "read", None)
    assert tracepoints.structs("TRACEPOINT_PROBE(sched, sched_switch)") == ""
