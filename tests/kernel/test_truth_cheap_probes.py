"""Probes that sit behind a function's first instructions, as those would be single-stepped."""

import re
import subprocess

import pytest
from probed import rows
from programs import compiled

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
