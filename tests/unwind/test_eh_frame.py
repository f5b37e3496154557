"""Tables of system files equal libdw's; .eh_frame is found by section and by segment."""

from pathlib import Path

import libdw_cfi
import pytest
import unwind_frames as f
from unwind_compare import compare

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.unwind import eh_frame
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import Rule, pack

LIBRARIES = ["libc.so.6", "ld-linux-x86-64.so.2", "libstdc++.so.6", "libcrypto.so.3", "libm.so.6"]
FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/bin"]
START = f.BASE + f.CODE
PUSH = b"\x41\x0e\x10\x86\x02"
FRAMES = f.simple((START, 16, PUSH), (START + 64, 16, PUSH))
ROWS = [f.CODE + at + row for at in (0, 64) for row in
        (pack(0, Rule.RSP, 1), pack(1, Rule.RSP, 2, 2), pack(16, Rule.FP))]  # fmt: skip


def system_file(name):
    found = next((p / name for p in map(Path, FOLDERS) if (p / name).is_file()), None)
    return found or pytest.skip(f"{name} is not installed")


@pytest.mark.skipif(libdw_cfi.library() is None, reason="libdw is not installed")
@pytest.mark.parametrize("name", [*LIBRARIES, "python3"])
def test_every_row_equals_libdw(name):
    count, bad = compare(system_file(name))
    assert count > 1000
    assert bad <= count / 100


def table(image):
    with Elf(image) as elf:
        return table_of(elf)


def header(*parts, encodings=b"\x1b\x03\x3b", version=1, count=2):
    """.eh_frame_hdr with a pointer relative to itself, behind FRAMES."""
    pointer = (-(len(FRAMES) + 4)).to_bytes(4, "little", signed=True)
    return bytes([version]) + encodings + pointer + count.to_bytes(4, "little")


def test_by_section():
    found = table(f.elf(FRAMES, named=[f.EH_FRAME]))
    assert (found.rows.tolist(), found.source) == (ROWS, "eh_frame")


@pytest.mark.parametrize(
    "named",
    [{}, {"encodings": b"\x1b\xff\xff"}, {"count": 99}],
)
def test_by_segment_when_sections_are_stripped(named):
    found = table(f.elf(FRAMES, header=header(**named)))
    assert (found.rows.tolist(), found.source) == (ROWS, "eh_frame")


def test_as_many_functions_as_the_header_counts():
    assert table(f.elf(FRAMES, header=header(count=1))).rows.tolist() == ROWS[:3]


@pytest.mark.parametrize(
    "head", [header(version=2), header(encodings=b"\xff\x03\x3b"), b"\x01\x1b", header()[:4] +
             (1 << 30).to_bytes(4, "little") + bytes(4)],
)  # fmt: skip
def test_headers_that_lead_nowhere(head):
    assert table(f.elf(FRAMES, header=head)).source == "none"


def test_headers_that_are_cut_off():
    with pytest.raises(ObjectFormatError):
        table(f.elf(FRAMES, header=header()[:6]))


@pytest.mark.parametrize("machine", [3, 183, 243])  # i386, aarch64, RISC-V
def test_other_machines(machine):
    found = table(f.elf(FRAMES, named=[f.EH_FRAME], machine=machine))
    assert (len(found.rows), found.status) == (0, "unsupported_machine")


def test_nothing():
    found = table(f.elf())
    assert (len(found.rows), found.bad_rows, found.source, found.status) == (0, 0, "none", "ok")


def test_sections_without_content():
    """Separate debug files have .eh_frame as SHT_NOBITS."""
    image = bytearray(f.elf(FRAMES, named=[f.EH_FRAME]))
    with Elf(bytes(image)) as elf:
        assert elf.sections[".eh_frame"].index == 1
    at = int.from_bytes(image[40:48], "little") + 64 + 4
    image[at : at + 4] = (8).to_bytes(4, "little")
    assert table(bytes(image)).source == "none"


def test_too_large(monkeypatch):
    monkeypatch.setattr(eh_frame, "MAX_FRAME_BYTES", 10)
    with pytest.raises(ObjectFormatError, match="more than 10 bytes"):
        table(f.elf(FRAMES, named=[f.EH_FRAME]))


def test_stripped_of_section_headers_a_library_has_the_same_rows():
    content = bytearray(system_file("libc.so.6").read_bytes())
    whole = table(bytes(content))
    content[40:48] = bytes(8)  # e_shoff
    content[60:64] = bytes(4)  # e_shnum, e_shstrndx
    stripped = table(bytes(content))
    assert len(whole.rows) > 10000
    assert stripped.rows.tolist() == whole.rows.tolist()


def test_the_vdso():
    """Read from memory, as tables of processes are made."""
    line = next(x for x in Path("/proc/self/maps").read_text().splitlines() if "[vdso]" in x)
    start, end = (int(each, 16) for each in line.split()[0].split("-"))
    with open("/proc/self/mem", "rb") as memory:
        memory.seek(start)
        found = table(memory.read(end - start))
    assert found.source == "eh_frame"
    assert found.bad_rows == 0
    assert len(found.rows) > 10
