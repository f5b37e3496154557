"""Texts of paths, put together from what the program tells."""

import numpy as np
import pytest

from workbench.elf import Elf
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.recorder import paths
from workbench.recorder.paths import GIVEN, INSIDE, MOUNTED, PSEUDO, PathTable

with Elf.open(OBJECTS / "files.bpf.o") as elf:
    BTF = Btf.parse(elf.section_bytes(".BTF"))
LAYOUT = event_layout(BTF, "wb_path_text")
MOUNTS = r"""24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 24 254:0 /var/lib /bind rw - ext4 /dev/vda rw
31 24 0:30 / /mnt/a\040disk rw - tmpfs tmpfs rw
32 24 0:30 / /second rw - tmpfs tmpfs rw
"""


class Handed(dict):
    """A map with the methods that are used."""

    def lookup(self, key):
        return self.get(key)

    def delete(self, key):
        return self.pop(key, None) is not None

    def items(self):
        return np.frombuffer(b"".join(self), np.uint8).reshape(-1, 4), None


@pytest.fixture
def told(tmp_path):
    """Hands over a text; returns the number of its path."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    handed = Handed()

    def tell(*names, form=MOUNTED, kind="ext4", **fields):
        value = np.zeros(1, LAYOUT.dtype)
        text = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names)
        value["text"], value["size"], value["form"], value["type"] = text, len(text), form, kind
        for name, field in fields.items():
            value[name] = field
        number = len(tell.table._texts) + len(handed)
        handed[number.to_bytes(4, "little")] = value.tobytes()
        return number

    tell.handed = handed
    tell.table = PathTable(handed, LAYOUT, tmp_path / "mountinfo")
    return tell


def test_names_go_from_the_root_to_the_file(told):
    table = told.table
    assert table.text(told("file", "dir", "home")) == "/home/dir/file"
    assert table.text(told()) == "/"
    assert table.text(told("file", "deep", cut=1)) == ".../deep/file"
    assert table.text(told("caf\udcff")) == "/caf\N{REPLACEMENT CHARACTER}"
    assert table.text(told("x" * 255)) == "/" + "x" * 255


def test_what_is_in_no_directory(told):
    table = told.table
    assert table.text(told("", form=PSEUDO, kind="pipefs", ino=7)) == "pipe:[7]"
    assert table.text(told("", form=PSEUDO, kind="sockfs", ino=8)) == "socket:[8]"
    assert table.text(told("[eventfd]", form=PSEUDO, kind="anon_inodefs")) == "anon_inode:[eventfd]"
    assert table.text(told("memfd:mine", form=PSEUDO, kind="tmpfs")) == "/memfd:mine"


def test_given_names_start_from_their_directory(told):
    table = told.table
    home, root = told("home"), 0
    assert table.text(told("gone", form=GIVEN, base=home)) == "/home/gone"
    assert table.text(told("./a/../b", form=GIVEN, base=home)) == "/home/a/../b"
    assert table.text(told("/abs", form=GIVEN, base=root)) == "/abs"
    assert table.text(told("rel", form=GIVEN, base=root)) == "rel"
    slash = told()
    assert table.text(told("top", form=GIVEN, base=slash)) == "/top"


def test_files_without_a_mount_are_put_where_their_disk_is_mounted(told):
    table = told.table
    assert table.text(told("f", "var", form=INSIDE, device=254 << 20)) == "/var/f"
    assert table.text(told("f", form=INSIDE, device=30)) == "/mnt/a disk/f"
    assert table.text(told(form=INSIDE, device=30)) == "/mnt/a disk"
    assert table.text(told("f", form=INSIDE, device=99)) == "/f"


def test_each_is_taken_out_once(told):
    number = told("file")
    numbers = np.array([number, 0, number, paths.UNKNOWN, 12345], np.uint32)
    expected = ["/file", "", "/file", "[unknown]", "[unknown]"]
    assert told.table.encode(numbers).to_pylist() == expected
    assert not told.handed
    assert told.table.encode(numbers).to_pylist() == expected
    told.handed[(12345).to_bytes(4, "little")] = bytes(LAYOUT.dtype.itemsize)
    assert told.table.text(12345) == "/"  # told later


def test_texts_of_lost_events_make_room(told):
    """Their numbers never come: they are taken out when the map was full."""
    lost, kept = told("lost"), told("kept")
    assert told.table.encode(np.array([kept], np.uint32)).to_pylist() == ["/kept"]
    assert len(told.handed) == 1
    told.table.encode(np.array([paths.UNKNOWN], np.uint32))
    assert not told.handed
    assert told.table.text(lost) == "/lost"


def test_the_map_is_left_alone_once_it_is_closed(told):
    known, unknown = told("known"), told("unknown")
    assert told.table.text(known) == "/known"
    told.table.close()
    numbers = np.array([known, unknown, paths.UNKNOWN], np.uint32)
    assert told.table.encode(numbers).to_pylist() == ["/known", "[unknown]", "[unknown]"]
    assert told.handed


def test_forms_are_those_of_the_program():
    forms = BTF.enum("wb_path_form")
    names = {name.removeprefix("WB_PATH_"): value for name, value in forms.items()}
    assert names == {"MOUNTED": MOUNTED, "INSIDE": INSIDE, "PSEUDO": PSEUDO, "GIVEN": GIVEN}
