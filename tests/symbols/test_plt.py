import os
import re

import numpy as np
import pytest
from programs import compiled, lines_of

from workbench.elf import Elf
from workbench.symbols.elf_symbols import function_symbols
from workbench.symbols.plt import plt_symbols

SOURCE = """
#include <stdlib.h>
#include <stdio.h>
int main(int n, char **a) {
    void (*f)(void *) = free;
    f(malloc(n));
    free(0);
    return puts(a[0]) + rand();
}
"""

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="stubs of x86-64")


@pytest.mark.parametrize(
    "flags",
    [
        ("-fcf-protection=full",),
        ("-fcf-protection=none",),
        ("-Wl,-z,now", "-Wl,-z,ibtplt"),
        ("-no-pie",),
    ],
)
def test_stubs_are_those_of_objdump(tmp_path, flags):
    path = compiled(tmp_path, "plt", SOURCE, "gcc", "-O1", *flags)
    with Elf.open(path) as elf:
        stubs = plt_symbols(elf)
        table = function_symbols(elf)
    # objdump names stubs by itself: "0000000000001050 <puts@plt>:"
    text = lines_of("objdump", "-d", "-j", ".plt", "-j", ".plt.sec", "-j", ".plt.got", path)
    theirs = {
        int(found[1], 16): found[2]
        for line in text
        if (found := re.match(r"([0-9a-f]+) <(\w+@plt)>:", line))
    }
    ours = {address: name for address, (_, name) in stubs.items()}
    assert theirs
    assert {address: ours.get(address) for address in theirs} == theirs
    for address, name in theirs.items():
        index = table.lookup(np.array([address + 2], np.uint64))[0]
        assert table.name(int(index)) == name


def test_other_machines_have_none(tmp_path):
    path = compiled(
        tmp_path, "other", "int f(void) { return 1; }", "clang", "-target", "aarch64", "-c"
    )
    with Elf.open(path) as elf:
        assert plt_symbols(elf) == {}


def test_addresses_beyond_arithmetic_are_left_out(tmp_path):
    path = compiled(tmp_path, "wild", SOURCE, "gcc", "-O1")
    data = bytearray(path.read_bytes())
    with Elf.open(path) as elf:
        table = int.from_bytes(data[40:48], "little")
        for section in elf.section_list:
            if section.name.startswith(".plt"):
                at = table + section.index * 64 + 16
                data[at : at + 8] = (2**64 - 8).to_bytes(8, "little")
    with Elf.open(bytes(data)) as elf:
        assert plt_symbols(elf) == {}
        function_symbols(elf)
