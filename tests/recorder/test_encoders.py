"""Objects get the encoders that their maps call for."""

from types import SimpleNamespace

import pytest

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.recorder.encoders import Encoders
from workbench.schema import TYPEDEFS


@pytest.mark.parametrize(
    ("kind", "typedefs"),
    [("block", {"wb_device"}), ("files", {"wb_device", "wb_path"})],
)
def test_paths_where_the_object_tells_them(kind, typedefs):
    with Elf.open(OBJECTS / f"{kind}.bpf.o") as elf:
        btf = Btf.parse(elf.section_bytes(".BTF"))
    made = Encoders(SimpleNamespace(maps=btf.datasec(".maps"), btf=btf))
    found = made.by_typedef
    made.close()
    made.close()
    assert set(found) == typedefs
    assert {TYPEDEFS[typedef].arrow for typedef in found} == {"dict32"}
