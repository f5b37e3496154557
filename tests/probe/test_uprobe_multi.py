"""Links of many places in a program that knows how often it passes each."""

import subprocess

import pytest
from compile_bpf import compile_bpf
from counting_uprobe import body, counted
from programs import compiled

from workbench.errors import AttachError
from workbench.probe import uprobe_multi
from workbench.probe.objects import Object
from workbench.probe.uprobe_multi import Spot
from workbench.symbols import places

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
SOURCE = """
volatile unsigned short gate __attribute__((section(".probes")));
__attribute__((noipa)) int one(int x) { return x + 1; }
__attribute__((noipa)) int two(int x) { return one(x) + 2; }
__attribute__((noipa)) int three(int x) { return x + 3; }
int main(void)
{
    int sum = 0;
    for (int i = 0; i < 50; i++)
        sum += two(i);
    for (int i = 0; i < 7; i++)
        sum += one(i);
    for (int i = 0; gate && i < 3; i++)
        sum += three(i);
    return sum == 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("many"), "many", SOURCE, "gcc", "-O1")


@pytest.fixture
def loaded(tmp_path):
    if not uprobe_multi.available():
        pytest.skip("this kernel has no such links")
    with Object(compile_bpf(tmp_path, body("kprobe"))) as opened:
        uprobe_multi.expect(opened.programs["user"])
        opened.load()
        yield opened


def offset(program, symbol):
    return places.find(str(program), symbol).offset


@pytest.mark.parametrize("returns", [False, True])
def test_each_place_has_its_cookie(program, loaded, returns):
    spots = [Spot(offset(program, name), 0, i) for i, name in enumerate(("one", "two", "three"))]
    user = loaded.programs["user"]
    link = uprobe_multi.attach(user, str(program), spots, returns=returns)
    subprocess.run([program], check=True)
    assert counted(loaded) == [57, 50, 0, 0]
    link.close()
    subprocess.run([program], check=True)
    assert counted(loaded) == [57, 50, 0, 0]
    link.close()


def test_semaphores_are_raised_while_attached(program, loaded):
    with places.open_program(str(program)) as elf:
        gate = elf.sections[".probes"].offset
    spot = Spot(offset(program, "three"), gate, 2)
    link = uprobe_multi.attach(loaded.programs["user"], str(program), [spot])
    subprocess.run([program], check=True)
    link.close()
    subprocess.run([program], check=True)
    assert counted(loaded) == [0, 0, 3, 0]


def test_the_place_that_cannot_be_is_named_and_none_is_left(program, loaded):
    good, bad = Spot(offset(program, "one")), Spot(1 << 30)
    with pytest.raises(AttachError, match="0x40000000") as caught:
        uprobe_multi.attach(loaded.programs["user"], str(program), [good, bad])
    assert "EINVAL" in caught.value.why
    assert caught.value.advice
    subprocess.run([program], check=True)
    assert counted(loaded) == [0] * 4
    with pytest.raises(AttachError, match="no-such"):
        uprobe_multi.attach(loaded.programs["user"], str(program.parent / "no-such"), [good])
