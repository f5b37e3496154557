""".debug_frame: alone, beside .eh_frame, compressed, and compressed to do harm."""

import shutil
import struct
import subprocess
import zlib

import libdw_cfi
import pytest
import unwind_frames as f
from programs import compiled
from unwind_compare import compare

from workbench.elf import Elf
from workbench.elf_format import SHF_COMPRESSED
from workbench.errors import ObjectFormatError
from workbench.symbols.debug_files import DebugFiles
from workbench.unwind import debug_frame as module
from workbench.unwind.debug_frame import debug_frame
from workbench.unwind.eh_frame import table_of
from workbench.unwind.rows import Rule, pack
from workbench.unwind.table_cache import TableCache

START = f.BASE + f.CODE
PUSH = b"\x41\x0e\x10\x86\x02"


def frames(*functions):
    section = f.Section(eh=False).cie(augmentation=b"", version=4)
    for start, size, code in functions:
        section.fde(start, size, code, "<QQ", relative=False, augmented=False)
    return section.data


CONTENT = frames((START, 16, PUSH), (START + 64, 16, PUSH))
NEW = struct.pack("<IIQQ", 1, 0, len(CONTENT), 1) + zlib.compress(CONTENT)
OLD = struct.pack(">4sQ", b"ZLIB", len(CONTENT)) + zlib.compress(CONTENT)
FORMS = [
    (".debug_frame", 0, CONTENT),
    (".debug_frame", SHF_COMPRESSED, NEW),
    (".zdebug_frame", 0, OLD),
]


def table(*named, frames=b""):
    with Elf(f.elf(frames, named=named)) as elf:
        return table_of(elf)


@pytest.mark.parametrize("form", FORMS)
def test_alone_in_all_forms(form):
    found = table(form)
    one = [pack(0, Rule.RSP, 1), pack(1, Rule.RSP, 2, 2), pack(16, Rule.FP)]
    assert found.rows.tolist() == [f.CODE + at + row for at in (0, 64) for row in one]
    assert (found.source, found.bad_rows) == ("debug_frame", 0)


def test_it_fills_what_eh_frame_leaves_out():
    eh = f.simple((START, 8, b"\x0e\x20"), (START + 80, 16, b"\x0e\x28"))
    found = table(f.EH_FRAME, (".debug_frame", 0, CONTENT), frames=eh)
    rows = [pack(0, Rule.RSP, 4), pack(8, Rule.FP), pack(64, Rule.RSP, 1),
            pack(65, Rule.RSP, 2, 2), pack(80, Rule.RSP, 5), pack(96, Rule.FP)]  # fmt: skip
    assert found.rows.tolist() == [f.CODE + row for row in rows]
    assert found.source == "both"


def test_it_changes_nothing_where_eh_frame_is_complete():
    eh = f.simple((START, 16, b"\x0e\x20"), (START + 60, 32, b"\x0e\x28"))
    found = table(f.EH_FRAME, (".debug_frame", 0, CONTENT), frames=eh)
    assert found.rows.tolist() == table(f.EH_FRAME, frames=eh).rows.tolist()
    assert found.source == "eh_frame"


@pytest.mark.parametrize(
    ("name", "flags", "content"),
    [
        (".debug_frame", SHF_COMPRESSED, NEW[:10]),
        (".debug_frame", SHF_COMPRESSED, NEW[:-8]),
        (".debug_frame", SHF_COMPRESSED, NEW[:24] + b"nonsense"),
        (".debug_frame", SHF_COMPRESSED, struct.pack("<IIQQ", 1, 0, 1 << 62, 1) + NEW[24:]),
        (".debug_frame", SHF_COMPRESSED, struct.pack("<IIQQ", 1, 0, 5, 1) + NEW[24:]),
        (".zdebug_frame", 0, OLD[:6]),
        (".zdebug_frame", 0, struct.pack(">4sQ", b"ZLIB", 1 << 40) + OLD[12:]),
    ],
)
def test_damage(name, flags, content):
    with pytest.raises(ObjectFormatError):
        table((name, flags, content))


def test_a_bomb_is_not_unpacked(monkeypatch):
    """No more is unpacked than claimed, and no more claimed than allowed."""
    monkeypatch.setattr(module, "MAX_BYTES", 1 << 20)
    bomb = zlib.compress(bytes(1 << 24), 9)
    for claim, why in ((1 << 10, "size unpacked"), (1 << 24, "claims")):
        content = struct.pack("<IIQQ", 1, 0, claim, 1) + bomb
        with pytest.raises(ObjectFormatError, match=why):
            table((".debug_frame", SHF_COMPRESSED, content))


def test_other_compressions_and_no_content():
    zstandard = struct.pack("<IIQQ", 2, 0, len(CONTENT), 1) + b"whatever"
    assert table((".debug_frame", SHF_COMPRESSED, zstandard)).source == "none"
    assert table((".zdebug_frame", 0, b"LZMA" + OLD[4:])).source == "none"
    with Elf(f.elf()) as elf:
        assert debug_frame(elf) is None


def test_too_large(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(ObjectFormatError, match="more than 10 bytes"):
        table((".debug_frame", 0, CONTENT))


@pytest.mark.skipif(libdw_cfi.library() is None, reason="libdw is not installed")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("packed", ["none", "zlib", "zlib-gnu"])
def test_a_program_without_eh_frame_equals_libdw(tmp_path, packed):
    path = tmp_path / "program.so"
    source = "int g(int, char *); int f(int n) { char a[n]; return g(n, a) + 1; }"
    options = ["-fno-asynchronous-unwind-tables", "-nostdlib", "-shared", "-fPIC", "-g", "-O1"]
    command = ["gcc", *options, f"-Wl,--compress-debug-sections={packed}"]
    subprocess.run([*command, "-x", "c", "-", "-o", path], input=source, text=True, check=True)
    with Elf.open(path) as elf:
        assert table_of(elf).source in ("debug_frame", "both")
    if packed == "none":
        compare(path, debug=True)
    else:
        plain = tmp_path / "plain.so"
        subprocess.run(["objcopy", "--decompress-debug-sections", path, plain], check=True)
        with Elf.open(path) as ours, Elf.open(plain) as theirs:
            assert table_of(ours).rows.tolist() == table_of(theirs).rows.tolist()


STRIPPED = """
volatile long sink;
__attribute__((noinline)) void leaf(void) { for (long i = 0; i < 1000; i++) sink += i; }
__attribute__((noinline)) void middle(int n) { volatile char b[n]; b[0] = 1; leaf(); sink += b[0]; }
int main(int n, char **a) { middle(n + 99); return 0; }
"""


def test_in_a_separate_file(tmp_path):
    if shutil.which("gcc") is None or shutil.which("objcopy") is None:
        pytest.skip("gcc or objcopy is not installed")
    flags = ("-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    program = compiled(tmp_path, "program", STRIPPED, "gcc", *flags)
    with Elf.open(program) as elf:
        whole = table_of(elf)
        place = tmp_path / "debug" / ".build-id" / elf.build_id[:2] / f"{elf.build_id[2:]}.debug"
    assert whole.source == "both"  # what the C library adds to each program has .eh_frame
    place.parent.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, place], check=True)
    subprocess.run(["strip", program], check=True)
    cache = TableCache(tmp_path / "cache", debug_files=DebugFiles((tmp_path / "debug",)))
    with Elf.open(program) as elf:
        assert table_of(elf).source == "eh_frame"
        found = cache.load(elf, elf.build_id)
        assert found.source == "both"
        assert found.rows.tolist() == whole.rows.tolist()
        # A damaged one is no worse than none.
        content = bytearray(place.read_bytes())
        with Elf(bytes(content)) as debug:
            section = debug.sections[".debug_frame"]
        content[section.offset : section.offset + 4] = b"\xf0\xff\xff\x7f"
        place.write_bytes(content)
        assert cache.load(elf, elf.build_id).source == "eh_frame"
