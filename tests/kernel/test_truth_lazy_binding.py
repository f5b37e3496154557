"""CPU time that a program spends in lazy binding is in samples whose stacks reach its functions."""

import json
from collections import Counter

import polars as pl
import pytest
from programs import compiled
from stack_programs import stacks_of

import workbench as wb

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
COUNT = 500
NUMBERS = range(COUNT)
MANY = "".join(f"long far_{i}(long n) {{ return n ^ {i}; }}\n" for i in NUMBERS)
CALLS = "\n".join(
    [
        *(f"long far_{i}(long);" for i in NUMBERS),
        "long bind_all(long n) {",
        *(f"n = far_{i}(n);" for i in NUMBERS),
        "return n + 1; }",  # no tail call
    ]
)
# It tells how much of its CPU time the calls took, each of which binds its function.
PROGRAM = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static __attribute__((noinline)) double open_and_bind(const char *path)
{
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	long (*bind_all)(long) = library ? (long (*)(long))dlsym(library, "bind_all") : NULL;
	double start = cpu();

	if (!bind_all)
		abort();
	bind_all(1);
	start = cpu() - start;
	dlclose(library);
	return start;
}

int main(int argc, char **argv)
{
	double end = atof(argv[2]), bound = 0;

	while (cpu() < end)
		bound += open_and_bind(argv[1]);
	printf("{\\"cpu\\": %f, \\"bound\\": %f}\\n", cpu(), bound);
	return 0;
}
"""
ABOVE_MAIN = ["open_and_bind", "bind_all"]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lazy")
    plain = ("gcc", "-O2", "-fomit-frame-pointer")
    shared = (*plain, "-shared", "-fPIC", "-Wl,-z,lazy")
    compiled(folder, "libmany.so", MANY, *shared)
    library = compiled(
        folder, "libcalls.so", CALLS, *shared, f"-L{folder}", "-lmany", f"-Wl,-rpath,{folder}"
    )
    program = compiled(folder, "lazy", PROGRAM, *plain, "-Wl,-z,now")
    return [str(program), str(library), "1.5"]


def test_whole_stacks_in_lazy_binding(tmp_path, command, capfd):
    session = wb.capture({"cpu": {"hz": 999}}, command=command, output=tmp_path / "s.wb")
    told = json.loads(capfd.readouterr().out)
    samples = stacks_of(session).filter(pl.col("names").is_not_null())
    stacks = [
        (status, names)
        for status, names in samples.select("stack_status", "names").iter_rows()
        if any(name.startswith("_dl_runtime_resolve") for name in names)
    ]
    # Until their tables are there, walks end in the libraries.
    states = Counter(status for status, _ in stacks)
    assert set(states) <= {"complete", "image_missing"}
    whole = [names for status, names in stacks if status == "complete"]
    assert len(whole) > 0.2 * len(samples) > 100
    for names in whole:
        main = names.index("main")
        assert names[0] == "_start"
        assert names[main + 1 : main + 3] == ABOVE_MAIN
        assert names[main + 3].startswith("_dl_runtime_resolve")
    # What the program's own clock says; page faults of the calls count in both.
    share = sum("bind_all" in names for names in samples["names"].to_list()) / len(samples)
    assert share == pytest.approx(told["bound"] / told["cpu"], abs=0.1)


def test_no_other_stack_is_lost(tmp_path, command):
    """Loading and unloading runs .init and what crtstuff.c adds: without unwind information."""
    for name in ("first.wb", "s.wb"):  # the first time, tables are made of what it loads later
        session = wb.capture({"cpu": {"hz": 1999}}, command=command, output=tmp_path / name)
    samples = stacks_of(session)
    states = Counter(samples["stack_status"].to_list())
    assert states["complete"] > 0.9 * len(samples) > 500
    assert set(states) <= {"complete", "kernel_only", "image_missing"}
