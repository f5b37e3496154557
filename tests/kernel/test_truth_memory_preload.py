"""Allocations that a preloaded library samples: told apart, found again, in all that is started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from memory_captures import (
    ALLOCATIONS,
    LEAKED,
    capture,
    compiled_allocations,
    complete,
    counts,
    stack_of,
)
from programs import compiled

from workbench.frames import allocations, heap
from workbench.recorder.preload import LIBRARY, variables

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

MANY = 150_000
"""More than the library's table has places (HOMES * SLOTS of workbench/preload/memory.c)."""
CROWD = """
#include <stdlib.h>
static void *blocks[COUNT];
int main(void)
{
	for (int i = 0; i < COUNT; i++)
		blocks[i] = malloc(64);
	for (int i = 0; i < COUNT; i++)
		blocks[i] = realloc(blocks[i], 1000);
	for (int i = 0; i < COUNT; i++)
		free(blocks[i]);
	return 0;
}
"""

# Threads free and move what other ones have allocated.
EXCHANGE = """
#include <pthread.h>
#include <stdlib.h>
static void *volatile box[64];
static void *work(void *seed)
{
	unsigned int x = (long)seed * 7919;

	for (int i = 0; i < COUNT; i++) {
		x = x * 1103515245 + 12345;
		void *p = malloc(100 + (x >> 20) % 100);
		if (x & 1024)
			p = realloc(p, 1000);
		free(__atomic_exchange_n(&box[(x >> 8) % 64], p, __ATOMIC_ACQ_REL));
	}
	return 0;
}
int main(void)
{
	static pthread_t threads[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], 0, work, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], 0);
	for (int i = 0; i < 64; i++)
		free(box[i]);
	return 0;
}
"""
EXCHANGED = 5000

# What glibc itself says is in use, without caches of freed chunks (GLIBC_TUNABLES below). It writes
# without stdio, which would allocate.
HEAP = """
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *blocks[4000];
static char maps[1 << 16], told[256];
int main(int argc, char **argv)
{
	void *volatile first = malloc(1); /* and what glibc needs for itself */
	size_t before = mallinfo2().uordblks, usable = 0, after;
	unsigned long start = 0, end = 0;

	free(first);
	for (int i = 0; i < 4000; i++)
		blocks[i] = i % 3 ? malloc(300 + i % 777) : calloc(i % 50 + 1, 40);
	for (int i = 0; i < 4000; i++) {
		if (i % 4)
			usable += malloc_usable_size(blocks[i]);
		else
			free(blocks[i]);
	}
	first = malloc(1);
	after = mallinfo2().uordblks;
	free(first);
	int file = open("/proc/self/maps", O_RDONLY);
	for (ssize_t size, have = 0; (size = read(file, maps + have, 4096)) > 0; have += size)
		;
	char *line = strstr(maps, "[heap]");
	while (line && line > maps && line[-1] != '\\n')
		line--;
	if (line)
		sscanf(line, "%lx-%lx", &start, &end);
	int size = snprintf(told, sizeof(told), "[%zu, %zu, %zu]", after - before, usable, end - start);
	file = open(argv[1], O_CREAT | O_WRONLY, 0600);
	return argc - 2 + (write(file, told, size) != size);
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled_allocations(tmp_path_factory.mktemp("allocations"))


@pytest.mark.parametrize("preload", [True, False], ids=["preload", "probes"])
def test_live_bytes_are_those_of_mallinfo(tmp_path, monkeypatch, preload):
    made = compiled(tmp_path, "heap", HEAP, "gcc", "-O1", "-fno-builtin")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
    command = [str(made), str(tmp_path / "told")]
    parts = ("heap", "mappings")
    session = complete(capture(tmp_path, command, parts=parts, preload=preload))
    used, usable, heap_bytes = json.loads((tmp_path / "told").read_text())
    live = heap.live(session)
    assert live.height == 3000
    # malloc/malloc.c of glibc: a chunk has 8 bytes more than the user has, in steps of 16.
    chunks = (live["size"].cast(pl.Int64) + 8 + 15) // 16 * 16
    assert chunks.sum() == used
    assert chunks.sum() - 8 * live.height == usable
    # The heap as /proc has it is what brk() mapped of it, less what it gave back.
    rows = session["memory"].polars().with_columns(pl.col("op").cast(pl.String))
    last = live["address"].max()
    near = rows.filter((pl.col("address").cast(pl.Int64) - last).abs() < 1 << 26)
    grown = near.filter(op="map")["size"].sum() - near.filter(op="unmap")["size"].sum()
    assert grown == heap_bytes


def test_more_samples_than_the_table_has_places(tmp_path):
    """Then all ends are told, and none is missed."""
    source = CROWD.replace("COUNT", str(MANY))
    made = compiled(tmp_path, "crowd", source, "gcc", "-O1", "-fno-builtin")
    session = complete(capture(tmp_path, [str(made)], sample_bytes=1, user_stacks=False))
    assert counts(session) == {"alloc": 2 * MANY, "free": 2 * MANY}
    assert heap.live(session).is_empty()


@pytest.mark.parametrize("sample_bytes", [0, 1])
def test_threads_that_exchange_blocks(tmp_path, sample_bytes):
    source = EXCHANGE.replace("COUNT", str(EXCHANGED))
    made = compiled(tmp_path, "exchange", source, "gcc", "-O1", "-fno-builtin", "-pthread")
    session = complete(capture(tmp_path, [str(made)], sample_bytes=sample_bytes))
    begun = allocations.with_ends(session, "size").collect()
    # pthread_create() keeps some for each thread. With a sample in each byte, none is missed.
    mine = begun.filter(pl.col("size").is_between(100, 199) | (pl.col("size") == 1000))
    assert mine.filter(pl.col("size") < 1000).height == 4 * EXCHANGED
    assert mine["freed"].null_count() == 0
    assert begun.height - mine.height == begun["freed"].null_count() <= 4


def test_programs_that_the_command_starts(tmp_path, program):
    script = f"{program} & {program}; wait; env -u LD_PRELOAD true"
    session = complete(capture(tmp_path, ["sh", "-c", script]))
    # What the shell allocates in a child before that begins the program is the child's, too.
    begun = session["processes"].polars().filter(pl.col("event").cast(pl.String) == "exec")
    begun = begun.filter(comm="allocations").select("pid", pl.col("ts").alias("begun"))
    assert begun.height == 2
    made = allocations.with_ends(session, "size").collect().join(begun, on="pid")
    made = made.filter(pl.col("born") > pl.col("begun"))
    sums = made.group_by("pid").agg(
        pl.len(), pl.col("size").filter(pl.col("freed").is_null()).sum().alias("leaked")
    )
    # Nothing is missing at the beginning.
    assert sums["len"].to_list() == [ALLOCATIONS, ALLOCATIONS]
    assert sums["leaked"].to_list() == [LEAKED, LEAKED]


def test_the_line_of_python_that_leaks(tmp_path):
    code = "import ctypes, time\nlibc = ctypes.CDLL(None)\nlibc.malloc.restype = ctypes.c_void_p\n"
    code += "def lose():\n    for _ in range(50): libc.malloc(123456); time.sleep(0.05)\nlose()"
    session = complete(capture(tmp_path, [sys.executable, "-c", code], sample_bytes=1 << 12))
    mine = heap.live(session).filter(size=123456)
    assert mine["weight"].sum() == mine.height == 50  # too large to be missed
    # The last one: the recorder has to find the interpreter and what ctypes has loaded.
    names = stack_of(session, mine["stack_id"][-1])
    assert "lose" in names
    assert "<module>" in names


def test_an_allocator_that_is_preloaded_already_has_probes(tmp_path, program, monkeypatch):
    """Its functions may call each other, past the library."""
    source = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stddef.h>
    void *malloc(size_t n) { return ((void *(*)(size_t))dlsym(RTLD_NEXT, "malloc"))(n); }
    void free(void *p) { ((void (*)(void *))dlsym(RTLD_NEXT, "free"))(p); }
    """
    other = compiled(tmp_path, "other.so", source, "gcc", "-shared", "-fPIC", "-fno-builtin")
    monkeypatch.setenv("LD_PRELOAD", str(other))
    session = capture(tmp_path, [program], allocators=())
    assert session.manifest.kinds["memory"]["preload"] is False


@pytest.mark.parametrize("sample_bytes", [0, 1, 1 << 19])
def test_programs_do_the_same_with_the_library(sample_bytes):
    """No capture: the probes are functions that do nothing."""
    code = "import json, threading, subprocess, sys\n"
    code += "made = [str(n) * (n % 1000) for n in range(20000)]\n"
    code += "t = [threading.Thread(target=sorted, args=(made,)) for _ in range(4)]\n"
    code += "[x.start() for x in t]; [x.join() for x in t]\n"
    code += "print(sum(map(len, made)), subprocess.check_output(['expr', '6', '*', '7']))"
    environment = {**os.environ, **variables(sample_bytes, {})}
    told = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
        for env in (dict(os.environ), environment)
    ]
    assert told[0].stdout == told[1].stdout
    assert not told[1].stderr


def test_the_library_needs_no_other():
    """It is loaded into programs with any C library: what is undefined is weak."""
    told = subprocess.run(
        ["readelf", "-dsW", LIBRARY], capture_output=True, text=True, check=True
    ).stdout
    assert "NEEDED" not in told
    undefined = [line.split() for line in told.splitlines() if " UND " in line]
    assert {words[4] for words in undefined if len(words) > 7} == {"WEAK"}
    assert Path(LIBRARY).stat().st_size < 1 << 17
