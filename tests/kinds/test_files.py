"""The files kind's settings for both architectures, and its enums as Python names them."""

import pytest

from workbench.elf import Elf
from workbench.errors import ParameterError
from workbench.event_texts import FILE_OPS, TEXTS
from workbench.kinds import find
from workbench.kinds.files import COVERED, SHAPES
from workbench.probe.btf import Btf
from workbench.syscalls_table import number_of

FILES = find("files")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_each_call_has_its_operation_and_shape(machine):
    numbers = number_of(machine)
    made = FILES.settings(FILES.check({"regular": True}), machine)
    assert (made["regular"], made["aggregate"]) == (1, 0)
    told = {n: (v & 15, v >> 4) for n, v in enumerate(made["covered"]) if v}
    expected = {
        numbers[name]: (FILE_OPS.index(op), SHAPES.index(shape))
        for name, (op, shape) in COVERED.items()
        if name in numbers
    }
    assert told == expected
    assert numbers["read"] in told
    assert ("open" in numbers) == (machine == "x86_64")


def test_sums_have_no_stacks():
    with pytest.raises(ParameterError, match="no stacks"):
        FILES.settings(FILES.check({"aggregate": True, "stacks": True}), "x86_64")
    assert FILES.object_for({"stacks": True}).name == "files_stacks.bpf.o"


def enum_of(name, prefix):
    with Elf.open(FILES.path) as elf:
        values = Btf.parse(elf.section_bytes(".BTF")).enum(name)
    return {value: text.removeprefix(prefix).lower() for text, value in values.items()}


@pytest.mark.parametrize(
    ("typedef", "prefix"), [("wb_file_op", "WB_FILE_"), ("wb_file_type", "WB_TYPE_")]
)
def test_texts_are_those_of_the_program(typedef, prefix):
    assert enum_of(typedef, prefix) == dict(enumerate(TEXTS[typedef]))


def test_shapes_are_those_of_the_program():
    assert enum_of("wb_file_shape", "WB_SHAPE_") == dict(enumerate(SHAPES))
