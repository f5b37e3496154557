import os
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import compiled

from workbench.elf import Elf
from workbench.symbols import debug_files
from workbench.symbols.debug_files import DebugFiles, crc32, debug_link, has_lines

SOURCE = "int main(int n, char **a) { return n; }"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a program and its debug file, in a folder of their own."""
    return split(tmp_path_factory.mktemp("built"), "-Wl,--build-id")


def split(directory, *flags):
    program = compiled(directory, "program", SOURCE, "gcc", "-g", *flags)
    debug = directory / "program.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
    return program, debug


def found(program, *directories, root="", **options):
    """Return the name of the debug file that is found for a program."""
    files = DebugFiles(directories, options.pop("fetch", None))
    with Elf.open(program) as elf:
        separate = files.find(elf, str(program), root, **options)
    if separate is None:
        return None
    with separate:
        assert has_lines(separate)
        return separate.name


def by_build_id(directory, program, debug):
    with Elf.open(program) as elf:
        place = directory / ".build-id" / elf.build_id[:2] / f"{elf.build_id[2:]}.debug"
    place.parent.mkdir(parents=True)
    shutil.copy(debug, place)
    return place


def test_by_build_id_here_and_in_the_root_of_a_process(built, tmp_path):
    program, debug = built
    (tmp_path / "bin").mkdir()
    alone = shutil.copy(program, tmp_path / "bin")
    assert found(alone, tmp_path / "nothing") is None
    here = by_build_id(tmp_path / "debug", program, debug)
    assert found(alone, tmp_path / "nothing", tmp_path / "debug") == str(here)
    inner = by_build_id(tmp_path / "root/usr/lib/debug", program, debug)
    files = (Path("/usr/lib/debug"),)
    assert found(alone, *files, root=str(tmp_path / "root")) == str(inner)
    # Of another build: not taken.
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(split(other, "-Wl,--build-id=0x11223344")[1], here)
    assert found(alone, tmp_path / "debug") is None


@pytest.mark.parametrize("flag", ["-Wl,--build-id=none", "-Wl,--build-id"])
def test_by_link(tmp_path, flag):
    program, debug = split(tmp_path, flag)
    with Elf.open(program) as elf:
        name, crc = debug_link(elf)
        assert not has_lines(elf)
    descriptor = os.open(debug, os.O_RDONLY)
    assert (name, crc) == ("program.debug", crc32(descriptor))
    os.close(descriptor)
    assert found(program) == str(debug)
    for place in (tmp_path / ".debug", tmp_path / "debug" / str(tmp_path).lstrip("/")):
        place.mkdir(parents=True)
        moved = shutil.move(found(program, tmp_path / "debug"), place)
        assert found(program, tmp_path / "debug") == str(moved)
    content = bytearray(Path(moved).read_bytes())
    content[-1] ^= 1
    Path(moved).write_bytes(content)
    damaged = found(program, tmp_path / "debug")
    # Without build ids only the check sum can tell.
    assert damaged == (None if flag.endswith("none") else str(moved))


def test_large_files_are_not_summed(built, monkeypatch):
    descriptor = os.open(built[1], os.O_RDONLY)
    monkeypatch.setattr(debug_files, "MAX_CRC_BYTES", 100)
    assert crc32(descriptor) is None
    os.close(descriptor)


def test_links_that_lead_elsewhere_are_not_followed(built):
    content = built[0].read_bytes()
    assert content.count(b"program.debug\0") == 1
    for name in (b"../ram.debug", b"/rogram.debug", b".", b"..", b""):
        other = content.replace(b"program.debug\0", name.ljust(14, b"\0"))
        assert debug_link(Elf(other)) is None
    with Elf.open("/bin/true") as elf:
        whole = debug_link(elf)
    assert whole is None or whole[0].endswith(".debug")


def test_what_is_wanted_and_what_is_fetched(built, tmp_path):
    program, debug = built
    asked = []
    fetch = lambda build_id: asked.append(build_id) or debug  # noqa: E731
    assert found(program, wanted=lambda elf: elf.name == "none", fetch=fetch) is None
    with Elf.open(program) as elf:
        assert asked == [elf.build_id]
    alone = shutil.copy(program, tmp_path)
    assert found(alone, fetch=fetch) == str(debug)
    assert found(alone, fetch=lambda _: None) is None
    assert found(alone, fetch=lambda _: "/dev/zero") is None
