import os
import shutil
from pathlib import Path

import pytest
from programs import compiled, running
from symbol_names import Names


@pytest.fixture
def names():
    made = Names()
    yield made
    made.symbolizer.close()
    assert made.symbolizer.stats.last_failure == ""
    assert made.symbolizer.stats.failures == 0


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("jit")


def node_program(directory):
    path = directory / "work.js"
    path.write_text(
        "function outerWork(n) {\n"
        "  let s = 0; for (let i = 0; i < n; i++) s += innerWork(i); return s;\n}\n"
        "function innerWork(i) { return Math.sqrt(i) * 3; }\n"
        "for (let i = 0; i < 300; i++) outerWork(20000);\n"
        "console.log('ready'); setInterval(() => outerWork(1000), 5);\n"
    )
    return path


@pytest.fixture
def node(directory):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    with running("node", "--perf-basic-prof", node_program(directory), cwd=directory) as process:
        yield process
    Path(f"/tmp/perf-{process.pid}.map").unlink(missing_ok=True)


def last_entry(pid, text):
    """Return the address of the last entry of a perf map that holds `text`."""
    lines = Path(f"/tmp/perf-{pid}.map").read_text().splitlines()
    found = [line.split(" ", 2) for line in lines if text in line]
    return int(found[-1][0], 16), found[-1][2]


def test_code_that_node_compiles(node, names):
    names.symbolizer.add_process(node.pid)
    address, text = last_entry(node.pid, "innerWork")
    frame = names.frames(node.pid, address + 1)[0]
    assert (frame["function"], frame["kind"], frame["module"]) == (text, "jit", "[anon]")
    assert frame["offset"] == address + 1
    path = Path(f"/tmp/perf-{node.pid}.map")
    node.kill()
    node.wait()
    path.unlink()
    assert names.of(node.pid, address + 2) == [text]


PLAIN = """
#include <stdio.h>
int main() { printf("main %p\\nready\\n", main); fflush(stdout); getchar(); }
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_perf_map_of_another_user_is_ignored(directory, names):
    path = compiled(directory, "plain", PLAIN, "gcc")
    with running(path) as process:
        path = Path(f"/tmp/perf-{process.pid}.map")
        path.write_text("0 7fffffffffff hostile\n")
        try:
            os.chown(path, 65534, 65534)
            names.symbolizer.add_process(process.pid)
            assert names.of(process.pid, process.addresses["main"], 0x1234) == ["main", "[unknown]"]
        finally:
            path.unlink()


JIT = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main() {
    int rights = PROT_READ | PROT_WRITE | PROT_EXEC;
    char *code = mmap(0, 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("jit %p\\nready\\n", code); fflush(stdout); getchar();
    char name[64]; sprintf(name, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(name, "w");
    fprintf(map, "%lx 40 late name\\n", (unsigned long)code); fclose(map);
    puts("ready"); fflush(stdout); getchar();
}
"""


@pytest.mark.parametrize("exited", [False, True])
def test_names_that_are_written_late(directory, names, exited):
    path = compiled(directory, "late", JIT, "gcc")
    with running(path) as process:
        place = process.addresses["jit"]
        assert names.of(process.pid, place, place + 0x80) == ["[anon]", "[anon]"]
        number = next(each for each, row in names.rows.items() if row["offset"] == place)
        process.go_on()
        retry = names.symbolizer.process_exited if exited else names.symbolizer.retry_unresolved
        assert (retry(process.pid) if exited else retry()) == 1
        names.take()
        assert (names.rows[number]["function"], names.rows[number]["kind"]) == ("late name", "jit")
        assert names.symbolizer.stats.renamed == 1
        assert retry(process.pid) == 0
    Path(f"/tmp/perf-{process.pid}.map").unlink()
