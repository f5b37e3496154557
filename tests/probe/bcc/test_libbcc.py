"""libbcc has what is declared of it."""

import ctypes
import subprocess

import pytest

from workbench.errors import UnsupportedKernelError
from workbench.probe.bcc import finder, libbcc

pytestmark = pytest.mark.skipif(
    finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
)


def test_prototypes_are_those_of_its_own_python_module():
    """Where BCC's module declares a function, the number of its arguments is the same."""
    bcc = finder.load()
    compared = 0
    for name in libbcc._PROTOTYPES:
        declared = getattr(bcc.lib, name).argtypes
        if declared:
            mine = getattr(libbcc.lib(), name).argtypes
            extra = 1 if name == "bpf_attach_uprobe" else 0  # ref_ctr_offset, since 0.16
            assert len(mine) == len(declared) + extra, name
            compared += 1
    assert compared > 15


def test_a_symbol_is_found():
    found = libbcc.Symbol()
    arguments = (b"c", b"malloc", 0, 0, None, ctypes.byref(found))
    assert libbcc.lib().bcc_resolve_symname(*arguments) == 0
    path = ctypes.string_at(found.module).decode()
    libbcc.lib().bcc_procutils_free(found.module)
    listed = subprocess.run(["nm", "-D", path], check=True, capture_output=True, text=True).stdout
    (line,) = (line for line in listed.splitlines() if line.split()[-1].startswith("malloc@"))
    assert int(line.split()[0], 16) == found.offset


def test_without_the_library(monkeypatch):
    def missing(*_, **__):
        raise OSError("libbcc.so.0: cannot open shared object file")

    libbcc.lib.cache_clear()
    monkeypatch.setattr(libbcc.c, "CDLL", missing)
    with pytest.raises(UnsupportedKernelError) as caught:
        libbcc.lib()
    assert "python3-bpfcc" in caught.value.advice
