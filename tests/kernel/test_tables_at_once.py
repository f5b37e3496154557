"""A new program's stacks are whole although the kernel still waits for an earlier one's table."""

import subprocess
import threading

import pytest
from programs import compiled
from stack_sources import WAIT_S, Recorded

from workbench.probe import arrays

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
SOURCE = """
#include <unistd.h>
volatile unsigned long sink;
int main(void)
{
    alarm(200); /* should nobody end it */
    for (;;) sink++;
}
"""


@pytest.fixture
def started(tmp_path):
    """Start programs that are deleted at once, each with another content."""
    program, running = compiled(tmp_path, "program", SOURCE, "gcc", "-O2"), []

    def start():
        copy = tmp_path / f"x{len(running)}"
        copy.write_bytes(program.read_bytes() + b"%d" % len(running))
        copy.chmod(0o755)
        running.append(subprocess.Popen([copy]))
        copy.unlink()
        return running[-1].pid

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_deleted_programs_in_a_row(started, monkeypatch):
    first = started()
    recorded, go = Recorded(first), threading.Event()
    set_maps, waits = arrays.set_inner_maps, []

    def set_and_wait(outer, inner):
        set_maps(outer, inner)
        waits.append(inner)
        go.wait(WAIT_S)  # as the kernel does, for some milliseconds

    try:
        recorded.source.process_started(first)
        recorded.source.start()
        recorded.until_whole(first)
        monkeypatch.setattr(arrays, "set_inner_maps", set_and_wait)
        for count in range(1, 4):
            pid = started()
            recorded.add(pid)
            recorded.source.process_started(pid)
            recorded.until_whole(pid)
            assert len(waits) >= count
        assert not go.is_set()
        assert not recorded.tables.stats.failures
    finally:
        go.set()
        recorded.close()
