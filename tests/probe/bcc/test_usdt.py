"""USDT probes: those of a program that is compiled with them."""

import os
import subprocess
from pathlib import Path

import pytest
from compile_bpf import bpf_descriptors
from programs import compiled

import workbench as wb
from workbench.errors import AttachError
from workbench.probe.bcc import finder
from workbench.probe.bcc.usdt import Usdt

TESTS = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder, source = tmp_path_factory.mktemp("usdt"), (TESTS / "probed.c").read_text()
    options = ("-O1", "-g", "-pthread", "-include", str(TESTS / "sdt.h"))
    return str(compiled(folder, "probed", source, "gcc", *options))


@pytest.mark.parametrize("probe", ["work", "probed:work"])
def test_a_probe_is_found(program, probe):
    usdt = Usdt(program)
    usdt.enable(probe, "on_work")
    places = usdt.places()
    assert {place.function for place in places} == {"on_work"}
    assert all(place.path.decode() == program for place in places)
    assert len({place.address for place in places}) == 2  # it is in two functions
    usdt.close()
    usdt.close()


def test_a_probe_of_a_process(program):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([program, "rounds", "1"], **pipes) as process:
        process.stdout.readline()  # it runs
        for path in (program, ""):
            usdt = Usdt(path, process.pid)
            usdt.enable("probed:work", "on_work")
            assert {place.pid for place in usdt.places()} == {process.pid}
            assert {Path(os.fsdecode(p.path)).samefile(program) for p in usdt.places()} == {True}
            usdt.close()
        process.kill()


COUNT = """
BPF_HASH(seen, long, u64);
int on_work(struct pt_regs *ctx)
{
    long thread = 0;
    bpf_usdt_readarg(1, ctx, &thread);
    seen.increment(thread);
    return 0;
}
"""


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_arguments_of_a_probe_in_a_cell(program):
    places = {"on_work": f"usdt:{program}:probed:work"}
    cell = wb.bpf(COUNT, attach=places, command=[program, "static", "70"])
    # The places have the argument in different registers, 4 and 8 bytes wide, with its sign.
    assert dict(cell["seen"].rows()) == {1: 70, -5_000_000_000: 70}
    assert bpf_descriptors() == []


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_probe_that_is_not_there_leaves_nothing(program):
    with pytest.raises(AttachError, match="no USDT probe other"):
        wb.bpf(COUNT, attach={"on_work": f"usdt:{program}:other"}, command=["true"])
    assert bpf_descriptors() == []


def test_descriptors_of_others_stay_open(program):
    """BCC would close the number of a descriptor of its own once more."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([program, "rounds", "1"], **pipes) as process:
        process.stdout.readline()  # it runs
        usdt = Usdt(program, process.pid)
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(32)]
        usdt.close()
        for fd in opened:
            os.close(fd)  # fails if it is closed
        process.kill()


def test_what_is_not_there(program, tmp_path):
    usdt = Usdt(program)
    with pytest.raises(AttachError, match="no USDT probe probed:nothing") as caught:
        usdt.enable("probed:nothing", "f")
    assert "readelf -n" in caught.value.advice
    usdt.close()
    with pytest.raises(AttachError, match="There is no file"):
        Usdt(str(tmp_path / "none"))
    with pytest.raises(AttachError, match="no USDT probes"):
        Usdt("", 1 << 22)
