"""Probes that sit behind a function's first instructions, as those would be single-stepped."""

import re
import subprocess

import polars as pl
import pytest
from probed import last, rows
from programs import compiled
from stack_programs import stacks_of

import workbench as wb
from workbench.own_probes import checked
from workbench.recorder.probe_source import planned
from workbench.symbols import places

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

CALLS = 200
# It takes part in control-flow enforcement, as programs of many distributions do.
OPTIONS = ("-O1", "-g", "-fcf-protection=full")
SOURCE = """
__attribute__((noipa)) long lowest(long a, long b) { return a < b ? a : b; }
__attribute__((noipa)) long work(long a, long b, long c, long d, long e, long f)
{
    long kept = lowest(a, b);
    return lowest(kept + c, d) + e * f;
}
int main(void)
{
    long sum = 0;
    for (long i = 0; i < 200; i++)
        sum += work(i, -i, 3 * i, i << 33, 5, i - 7);
    return sum == 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("cheap"), "cheap", SOURCE, "gcc", *OPTIONS)


def instructions(program, function):
    """(address, instruction) of a function's code."""
    command = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", program]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(int(a, 16), b) for a, b in re.findall(r"^ +([0-9a-f]+):\s+(\S+)", told, re.MULTILINE)]


def test_arguments_results_and_stacks_are_those_of_the_entry(program):
    place = places.find(str(program), "work")
    code = instructions(program, "work")
    if place.cheaper or code[0][1] == "endbr64":
        assert dict(code)[place.address + place.cheaper].startswith("push")
        assert place.cheaper
    fields = {f"a{i}": f"arg{i}" for i in range(6)}
    session = wb.probe(
        {
            "begin": {"probe": f"uprobe:{program}:work", "fields": fields, "stacks": True},
            "end": {"probe": f"uretprobe:{program}:work", "fields": {"result": "retval"}},
        },
        command=[str(program)],
    )
    frame, i = rows(session, "begin").sort("ts"), range(CALLS)
    expected = [(n, -n, 3 * n, n << 33, 5, n - 7) for n in i]
    assert frame.select(list(fields)).rows() == expected
    results = [min(min(a, b) + c, d) + e * f for a, b, c, d, e, f in expected]
    assert rows(session, "end").sort("ts")["result"].to_list() == results
    assert set(frame["stack_status"].cast(str)) == {"complete"}
    names = dict(session["frames"].polars().select("frame_id", "function").iter_rows())
    stacks = dict(session["stacks"].polars().iter_rows())
    chains = {tuple(names[f] for f in stacks[stack])[:2] for stack in frame["stack_id"]}
    assert chains == {("work", "main")}


def test_places_that_are_told_exactly_stay(program):
    entry = places.find(str(program), "work")
    for name in ("work+0", f"{entry.offset:#x}"):
        plan = planned(checked("x", {"probe": f"uprobe:{program}:{name}"}))
        assert [site.offset for site in plan.sites] == [entry.offset]
    plan = planned(checked("x", {"probe": f"uprobe:{program}:work"}))
    assert [site.offset for site in plan.sites] == [entry.offset + entry.cheaper]


BUSY = """
#include <time.h>
__attribute__((noipa)) long lowest(long a, long b) { return a < b ? a : b; }
__attribute__((noipa)) long one(long a, long b)
{
    long kept = lowest(a, b);
    return lowest(kept, a) + kept;
}
__attribute__((noipa)) long four(long a, long b, long c, long d)
{
    long kept = lowest(a, b), more = lowest(c, d);
    return lowest(kept + a, more) + lowest(b + c, d) + kept * more;
}
__attribute__((noipa)) long spin(long n)
{
    long sum = lowest(n, 2);
    for (volatile long i = 0; i < n; i++)
        sum = lowest(sum, i);
    return sum;
}
__attribute__((noipa)) long work(long i) { return one(i, -i) + four(i, 2, i * i, -i); }
int main(int argc, char **argv)
{
    long sum = 0;
    while (clock() < 3 * CLOCKS_PER_SEC / 2)
        for (long i = 0; i < 1000; i++)
            sum += argc > 1 ? spin(20000) : work(i);
    return sum == 1;
}
"""


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("busy"), "busy", BUSY, "gcc", *OPTIONS)


def sampled(program, points, *words):
    """Samples of the program's main() among probes on it: status, and names, root first."""
    probes = {
        f"p{i}": {"probe": point.format(program), "aggregate": "count"}
        for i, point in enumerate(points)
    }
    session = wb.capture({"cpu": {"hz": 999}, **probes}, command=[str(program), *words])
    counts = [last(session, name)["count"].sum() for name in probes]
    samples = stacks_of(session)
    begun = samples.filter(pl.col("names").list.contains("main"))["ts"].min()
    return samples.filter(pl.col("ts") >= begun), counts


def holds(names, wanted):
    rest = iter(names)
    return all(name in rest for name in wanted)


@pytest.mark.parametrize("where", ["", "+0"])
def test_samples_among_probes_are_whole(busy, where):
    """Traps, what is emulated and what is stepped: ip and stack are between two instructions."""
    points = [f"uprobe:{{}}:{function}{where}" for function in ("one", "four", "work")]
    samples, counts = sampled(busy, points)
    assert counts[0] == counts[1] == counts[2] > 1000
    whole = samples.filter(pl.col("stack_status").is_in(["complete", "kernel_only"]))
    assert len(whole) >= 0.995 * len(samples) > 500  # of 1500 in 1.5 s of CPU time
    stacks = [names for names in whole["names"].to_list() if names]
    for function in ("one", "four"):
        seen = [names for names in stacks if function in names]
        assert len(seen) > 0.03 * len(samples)
        assert all(holds(names, ["main", "work", function]) for names in seen)
        assert any("asm_exc_int3" in names for names in seen)


def test_samples_in_functions_whose_return_is_waited_for_are_whole(busy):
    points = ["uretprobe:{}:spin", "uprobe:{}:spin", "uretprobe:{}:main"]
    samples, (returned, entered, _) = sampled(busy, points, "spin")
    assert returned == entered > 1000
    whole = samples.filter(pl.col("stack_status").is_in(["complete", "kernel_only"]))
    assert len(whole) >= 0.995 * len(samples) > 500
    stacks = [names for names in whole["names"].to_list() if names and "spin" in names]
    assert len(stacks) > 0.5 * len(samples)
    root = ["_start", "__libc_start_main", "__libc_start_call_main", "main", "spin"]
    assert all(names[:5] == root for names in stacks)
