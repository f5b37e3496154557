"""The guest's tests, on the kernel that boots fastest; `make vmtest` runs them on all."""

import os
import re
import sys

import pytest

from vm import kernels, machine
from vm.__main__ import tests as guest_tests

QUICK = "6.12"
pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    # QEMU 7.2 emulates AVX for numpy and polars, and now and then one of them crashes in it.
    pytest.mark.skipif(
        os.environ.get("WORKBENCH_REQUIRE_VM") != "1", reason="WORKBENCH_REQUIRE_VM=1 runs it"
    ),
]


def missing(reason):
    if os.environ.get("WORKBENCH_REQUIRE_VM") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the matrix is of x86-64 kernels")
def test_on_another_kernel():
    if not machine.available():
        missing("QEMU is not installed")
    try:
        kernel = kernels.fetch(QUICK, headers=True)
        outcome = machine.run(kernel, guest_tests(), timeout=500)
    except kernels.NoKernelError as error:
        missing(f"no kernel {QUICK}: {error}")
    said = f"{outcome.output[-8000:]}\n{outcome.console[-2000:]}"
    assert outcome.code == 0, said
    assert re.search(r"\d+ passed", outcome.output), said
    print(outcome.output, file=sys.stderr)


@pytest.mark.timeout(300)
def test_the_exit_code_and_the_output_of_a_command(tmp_path):
    if not machine.available():
        missing("QEMU is not installed")
    try:
        kernel = kernels.fetch(QUICK)
        outcome = machine.run(kernel, f"uname -r; touch {tmp_path}/x; exit 7", timeout=200)
    except kernels.NoKernelError as error:
        missing(f"no kernel {QUICK}: {error}")
    assert (outcome.code, outcome.output) == (7, f"{kernel.release}\n"), outcome.console[-2000:]
    assert not (tmp_path / "x").exists()  # its changes are its own
