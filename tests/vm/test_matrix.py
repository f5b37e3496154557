"""The guest's tests, on the kernel that boots fastest; `make vmtest` runs them on all."""

import re
import sys

import pytest

from vm import machine
from vm.__main__ import tests as guest_tests

QUICK = ("6.12", "6.1")
pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.usefixtures("emulator")]


@pytest.mark.timeout(900)
def test_on_another_kernel(stock_kernel):
    kernel = stock_kernel(*QUICK, headers=True)
    outcome = machine.run(kernel, guest_tests(), timeout=840)
    said = f"{outcome.output[-8000:]}\n{outcome.console[-2000:]}"
    assert outcome.code == 0, said
    assert re.search(r"\d+ passed", outcome.output), said
    print(outcome.output, file=sys.stderr)


@pytest.mark.timeout(300)
def test_the_exit_code_and_the_output_of_a_command(stock_kernel, tmp_path):
    kernel = stock_kernel(*QUICK)
    outcome = machine.run(kernel, f"uname -r; touch {tmp_path}/x; exit 7", timeout=200)
    assert (outcome.code, outcome.output) == (7, f"{kernel.release}\n"), outcome.console[-2000:]
    assert not (tmp_path / "x").exists()  # its changes are its own
