"""The cache gives what was put in, or nothing; whatever is wrong with it, tables are made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench.elf import Elf
from workbench.unwind import eh_frame, table_cache
from workbench.unwind.eh_frame import table_of
from workbench.unwind.table_cache import TableCache, default_directory, load

COUNT = 1500
SOURCE = "".join(f"int f{i}(int x) {{ return g(x) + {i}; }}\n" for i in range(COUNT))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    path = tmp_path_factory.mktemp("program") / "program.so"
    build = ["gcc", "-shared", "-fPIC", "-O1", "-w", "-Wl,--build-id=sha1", "-x", "c", "-", "-o"]
    subprocess.run([*build, path], input=f"int g(int);{SOURCE}", text=True, check=True)
    return path


@pytest.fixture
def parsed(monkeypatch):
    """How often a table was made anew."""
    calls = []

    def make(*arguments):
        calls.append(arguments)
        return eh_frame.make_table(*arguments)

    monkeypatch.setattr(table_cache, "make_table", make)
    return calls


def same(table, path):
    with Elf.open(path) as elf:
        wanted = table_of(elf)
    fields = ("bad_rows", "source", "status")
    return table.rows.tolist() == wanted.rows.tolist() and all(
        getattr(table, name) == getattr(wanted, name) for name in fields
    )


def take(path, cache, build_id=None):
    with Elf.open(path) as elf:
        return cache.load(elf, elf.build_id if build_id is None else build_id)


def kept(directory):
    return sorted(directory.iterdir())


def test_second_time_is_read(program, tmp_path, parsed):
    cache = TableCache(tmp_path / "new" / "unwind")
    tables = [take(program, cache) for _ in range(2)]
    assert all(same(table, program) for table in tables)
    assert len(tables[0].rows) > COUNT
    assert len(parsed) == 1
    (file,) = kept(cache.directory)
    assert (cache.directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("position", [0, 8, 12, 20, 24, 60, 100, 1000, -1])
def test_damage_is_noticed_and_mended(program, tmp_path, parsed, position):
    cache = TableCache(tmp_path / "unwind")
    take(program, cache)
    (file,) = kept(cache.directory)
    content = bytearray(file.read_bytes())
    content[position] ^= 0x11
    file.write_bytes(content)
    assert same(take(program, cache), program)
    assert same(take(program, cache), program)
    assert len(parsed) == 2


@pytest.mark.parametrize("size", [0, 50, 200])
def test_half_a_file_is_none(program, tmp_path, parsed, size):
    cache = TableCache(tmp_path / "unwind")
    take(program, cache)
    os.truncate(kept(cache.directory)[0], size)
    assert same(take(program, cache), program)
    assert len(parsed) == 2


def test_another_format_is_made_anew(program, tmp_path, parsed, monkeypatch):
    cache = TableCache(tmp_path / "unwind")
    take(program, cache)
    monkeypatch.setattr(table_cache, "FORMAT", table_cache.FORMAT + 1)
    assert same(take(program, cache), program)
    assert len(parsed) == 2


def test_a_copied_build_id_gets_no_foreign_table(program, tmp_path, parsed):
    """A file that claims to be another one neither gets that one's table nor gives it its own."""
    cache = TableCache(tmp_path / "unwind")
    liar = tmp_path / "liar"
    with Elf.open(program) as elf:
        build_id, place = elf.build_id, elf.sections[".eh_frame"]
    content = bytearray(program.read_bytes())
    at = content.index(b"\x0e\x10", place.offset + 200)  # DW_CFA_def_cfa_offset 16
    content[at + 1] = 0x20
    liar.write_bytes(content)
    for path in (liar, program, liar):
        assert same(take(path, cache, build_id), path)
    assert not same(take(liar, cache), program)


@pytest.mark.parametrize("build_id", ["", "../../outside", "ab" * 100, "xyz", "ab/cd"])
def test_odd_build_ids_are_not_kept(program, tmp_path, build_id):
    cache = TableCache(tmp_path / "unwind")
    assert same(take(program, cache, build_id), program)
    assert not cache.directory.exists() or not kept(cache.directory)
    assert [each.name for each in tmp_path.iterdir()] in ([], ["unwind"])


def test_small_tables_are_not_kept(program, tmp_path, monkeypatch):
    monkeypatch.setattr(table_cache, "MIN_BYTES", 1 << 30)
    cache = TableCache(tmp_path / "unwind")
    assert same(take(program, cache), program)
    assert not cache.directory.exists()


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_a_directory_of_others_is_not_used(program, tmp_path, parsed, mode):
    cache = TableCache(tmp_path / "unwind")
    cache.directory.mkdir()
    cache.directory.chmod(mode)
    assert same(take(program, cache), program)
    assert not kept(cache.directory)


@pytest.mark.parametrize("kind", ["file", "link", "unwritable"])
def test_no_place_to_write_is_no_failure(program, tmp_path, kind):
    place = tmp_path / "unwind"
    if kind == "file":
        place.write_text("")
    elif kind == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "other")
    else:
        place = Path("/proc/unwind")
    assert same(take(program, TableCache(place)), program)
    assert not (tmp_path / "other").exists() or not kept(tmp_path / "other")


def test_links_and_pipes_in_the_cache_are_not_read(program, tmp_path, parsed):
    cache = TableCache(tmp_path / "unwind")
    take(program, cache)
    (file,) = kept(cache.directory)
    file.unlink()
    os.mkfifo(file)
    assert same(take(program, cache), program)
    assert file.is_file()  # replaced
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")
    assert same(take(program, cache), program)
    assert len(parsed) == 3


def test_a_full_disk_leaves_nothing_behind(program, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table_cache.os, "replace", full)
    cache = TableCache(tmp_path / "unwind")
    assert same(take(program, cache), program)
    assert not kept(cache.directory)


def test_the_longest_unused_go_first(program, tmp_path):
    cache = TableCache(tmp_path / "unwind")
    for build_id in ("aaaa1111", "bbbb2222"):
        take(program, cache, build_id)
    first, second = kept(cache.directory)
    half = cache.directory / ".half"
    half.touch()
    os.utime(half, (0, 0))
    os.utime(first, (1000, 1000))
    os.utime(second, (2000, 2000))
    take(program, cache, "aaaa1111")  # used again
    small = TableCache(cache.directory, max_bytes=2 * first.stat().st_size + 100)
    take(program, small, "cccc3333")
    assert [each.name for each in kept(cache.directory)] == ["aaaa1111", "cccc3333"]


def test_default_place(program, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Elf.open(program) as elf:
        load(elf, elf.build_id)
        assert kept(tmp_path / "workbench" / "unwind")[0].name == elf.build_id
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unset in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert default_directory() == tmp_path / "home" / ".cache" / "workbench" / "unwind"


def test_other_machines_say_so(program, tmp_path):
    content = bytearray(program.read_bytes())
    content[18] = 183  # EM_AARCH64
    with Elf(bytes(content)) as elf:
        table = TableCache(tmp_path).load(elf, elf.build_id)
    assert (len(table.rows), table.source, table.status) == (0, "none", "unsupported_machine")
