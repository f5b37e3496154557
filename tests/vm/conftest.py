"""Kernels for the tests that boot a machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import pytest

from vm import kernels, machine


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where ``WORKBENCH_REQUIRE_VM=1`` says that all must be there."""
    if os.environ.get("WORKBENCH_REQUIRE_VM") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def stock_kernel() -> Callable[..., kernels.Kernel]:
    """Fetch the newest kernel of the first series that can be had here."""

    def fetch(*series: str, headers: bool = False) -> kernels.Kernel:
        why = []
        for name in series:
            try:
                return kernels.fetch(name, headers=headers)
            except kernels.NoKernelError as error:
                why.append(f"no kernel {name}: {error}")
        missing("; ".join(why))

    return fetch


@pytest.fixture
def emulator() -> None:
    """QEMU, for the kernels that :mod:`vm.kernels` knows."""
    if os.uname().machine != "x86_64":
        pytest.skip("the matrix is of x86-64 kernels")
    if not machine.available():
        missing("QEMU is not installed")
