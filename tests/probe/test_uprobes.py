"""Programs on many functions of a file, by one link or by a perf event for each."""

import subprocess
from contextlib import contextmanager

import pytest
from compile_bpf import compile_bpf
from counting_uprobe import body, counted
from programs import compiled

from workbench.errors import AttachError
from workbench.probe import uprobe_multi
from workbench.probe.objects import Object
from workbench.probe.uprobe_multi import Spot
from workbench.probe.uprobes import Uprobes
from workbench.symbols import places

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
# Each line of input: two threads, one after the other, call one() twice and two() once; the last
# line of output tells that a child has done so as well.
SOURCE = """
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noipa)) int one(int x) { return x + 1; }
__attribute__((noipa)) int two(int x) { return x + 2; }
static void *work(void *x) { one(1); one(2); two(3); return x; }
static void twice(void)
{
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, work, 0);
        pthread_join(thread, 0);
    }
}
int main(void)
{
    char line[8];
    setvbuf(stdout, 0, _IONBF, 0);
    puts("ready");
    while (fgets(line, sizeof(line), stdin)) {
        twice();
        puts("done");
    }
    if (!fork()) { twice(); _exit(0); }
    wait(0);
}
"""
WAYS = [
    pytest.param(False, id="each"),
    pytest.param(True, id="many"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return str(compiled(tmp_path_factory.mktemp("f"), "f", SOURCE, "gcc", "-O1", "-pthread"))


@pytest.fixture
def spots(program):
    return [Spot(places.find(program, name).offset, 0, i) for i, name in enumerate(("one", "two"))]


@pytest.fixture(params=WAYS)
def attach(request, tmp_path):
    """Attach as asked for; ``attach.counted()`` tells what the program has seen."""
    if request.param and not uprobe_multi.available_for_one_process():
        pytest.skip("this kernel has no such links")
    way = Uprobes(request.param)
    with Object(compile_bpf(tmp_path, body("uprobe"))) as opened:
        user = opened.programs["user"]
        way.expect(user)
        opened.load()

        def attached(*args, **options):
            links = way.attach(user, *args, **options)
            assert len(links) == min(len(args[1]), 1 if request.param else 99)
            return [opened.hold(link) for link in links]

        attached.counted, attached.object = (lambda: counted(opened)[:2]), opened
        yield attached


@contextmanager
def running(program):
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "ready\n"
        yield p
        p.stdin.close()


def let_work(process):
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("returns", [False, True])
def test_all_threads_of_the_process_and_no_other(program, spots, attach, returns):
    with running(program) as mine, running(program) as other:
        links = attach(program, spots, pid=mine.pid, returns=returns)
        let_work(other)
        assert attach.counted() == [0, 0]
        let_work(mine)
        assert attach.counted() == [4, 2]
        attach.object.release(links)
        let_work(mine)
        assert attach.counted() == [4, 2]
    assert attach.counted() == [4, 2]


def test_everywhere(program, spots, attach):
    with running(program) as one, running(program) as two:
        attach(program, spots)
        let_work(one)
        let_work(two)
        assert attach.counted() == [8, 4]
    assert attach.counted() == [16, 8]  # children as well


def test_none_is_left_where_one_cannot_be(program, spots, attach):
    with running(program) as process:
        with pytest.raises(AttachError, match="0x40000000"):
            attach(program, [*spots, Spot(1 << 30)], pid=process.pid)
        let_work(process)
        assert attach.counted() == [0, 0]


def test_nothing_on_nothing(program, attach):
    assert attach(program, []) == []


def test_a_process_that_is_not_there(program, spots, attach):
    with subprocess.Popen(["true"]) as gone:
        pass
    with pytest.raises(AttachError, match="cannot be attached") as caught:
        attach(program, spots, pid=gone.pid)
    assert "ESRCH" in caught.value.why


def test_children_keep_no_breakpoints_of_one_process():
    assert not Uprobes.in_one_process().many
    assert Uprobes.in_processes().many is uprobe_multi.available_for_one_process()
    assert Uprobes.everywhere().many is uprobe_multi.available()
