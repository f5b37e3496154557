"""Programs that are made, run for a moment and deleted: their frames have names."""

import polars as pl
import pytest
from programs import compiled
from stack_programs import stacks_of

import workbench as wb

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
SOURCE = """
#include <time.h>
volatile unsigned long sink;
__attribute__((noinline)) void spinning(void) { for (int i = 0; i < 2000; i++) sink += i; }
int main(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        spinning();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 100);
    return 0;
}
"""
PROGRAMS = 8
"""Each with other content, so that no table and no name of an earlier one will do."""
LOOP = f"for i in $(seq {PROGRAMS}); do cp program x$i; echo $i >> x$i; ./x$i; rm x$i; done"


def test_programs_that_are_deleted_at_once(tmp_path):
    compiled(tmp_path, "program", SOURCE, "gcc", "-O2")
    session = wb.capture(
        {"cpu": {"hz": 999}},
        command=["sh", "-c", f"cd {tmp_path}; sleep 0.3; {LOOP}"],
        output=tmp_path / "s.wb",
    )
    samples = stacks_of(session)
    short = session["processes"].polars().filter(pl.col("comm").cast(pl.String).str.contains("^x"))
    ran = samples.filter(pl.col("pid").is_in(short["pid"].unique().to_list()))
    inside = pl.col("names").list.eval(pl.element().is_in(["spinning", "main"])).list.any()
    nameless = pl.col("names").list.eval(pl.element().str.contains(r"^\[(unknown|x)")).list.any()
    counts = ran.group_by("pid").agg(inside.sum().alias("named"), nameless.sum().alias("nameless"))
    assert len(ran) > 20  # of 800 where the CPUs are free
    # A recorder that gets no CPU for as long as a program lives sees nothing of it.
    known = counts.filter((pl.col("named") > 0) & (pl.col("nameless") == 0))
    assert len(known) >= len(counts) / 3, counts
