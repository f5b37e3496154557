"""The workbench's own kinds on this kernel, against workloads that know what they did."""

import platform
import subprocess

import polars as pl
import pytest

import workbench as wb

DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=3000"]
CHAIN = """
static volatile long sum;
__attribute__((noinline)) void leaf(void) { for (int i = 0; i < 1000; i++) sum += i; }
__attribute__((noinline)) void middle(void) { leaf(); sum++; }
__attribute__((noinline)) void outer(void) { for (int i = 0; i < 200000; i++) { middle(); sum++; } }
int main(void) { outer(); return sum == 1; }
"""


def test_what_captures_need_is_there():
    assert wb.doctor().ok
    assert platform.release() in str(wb.doctor())


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_every_system_call_of_dd(tmp_path, transport):
    session = wb.capture(
        "syscalls", command=DD, output=tmp_path / "s.wb", transport=transport, progress=False
    )
    counts = dict(session.sql("select name, count(*) from syscalls group by name").iter_rows())
    assert counts["read"] >= 3000
    assert counts["write"] >= 3000
    losses = session.losses
    assert losses["dropped"].sum() == 0
    assert losses["produced"].sum() == losses["delivered"].sum()


def test_children_are_followed(tmp_path):
    script = "for i in 1 2 3; do /bin/true; done"
    session = wb.capture(
        "syscalls", command=["bash", "-c", script], output=tmp_path / "s.wb", progress=False
    )
    execs = session.sql("select count(*) from syscalls where name = 'execve'").item()
    assert execs >= 4
    ended = session["processes"].polars().filter(pl.col("event").cast(pl.String) == "exit")
    assert ended["pid"].n_unique() == 4


def test_stacks_down_to_the_root_without_frame_pointers(tmp_path):
    source, program = tmp_path / "chain.c", tmp_path / "chain"
    source.write_text(CHAIN)
    flags = ["-O1", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    session = wb.capture(
        {"cpu": {"hz": 499}}, command=[str(program)], output=tmp_path / "s.wb", progress=False
    )
    names = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    stacks = dict(session["stacks"].polars().iter_rows())
    samples = session["cpu"].polars().with_columns(pl.col("stack_status").cast(pl.String))
    inside = [
        (status, [names[f] for f in stacks[stack]])
        for status, stack in samples.select("stack_status", "stack_id").iter_rows()
        if stack is not None
    ]
    inside = [(status, stack) for status, stack in inside if "leaf" in stack]
    assert len(inside) > 50
    assert {status for status, _ in inside} == {"complete"}
    want = ["leaf", "middle", "outer", "main", "__libc_start_call_main"]
    for _, stack in inside:
        at = stack.index("leaf")
        assert stack[at : at + len(want)] == want
        assert stack[-1] == "_start"


def test_sleeps_are_off_the_cpu(tmp_path):
    code = "for i in 1 2 3 4 5; do sleep 0.2; done"
    session = wb.capture(
        "offcpu", command=["bash", "-c", code], output=tmp_path / "s.wb", progress=False
    )
    periods = session["offcpu"].polars().with_columns(pl.col("blocked").cast(pl.Int64))
    slept = periods.filter(
        pl.col("comm").cast(pl.String) == "sleep", pl.col("state").cast(pl.String) == "sleeping"
    )
    long = slept.filter(pl.col("blocked") > 150_000_000)
    assert long.height == 5
    assert long["blocked"].min() >= 190_000_000
