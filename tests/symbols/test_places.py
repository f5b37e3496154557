"""Places of functions in files: what nm says, and errors that say what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import compiled, lines_of

from workbench.errors import AttachError
from workbench.symbols import places

SOURCE = """
__attribute__((noinline)) int visible(int x) { return x * 3; }
static __attribute__((noinline)) int hidden(int x) { return x + 4; }
int main(int argc, char **argv) { (void)argv; return visible(argc) + hidden(argc); }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    return compiled(folder, "prog", SOURCE, "gcc", "-O1", "-g")


@pytest.fixture(scope="module")
def addresses(program):
    rows = (line.split() for line in lines_of("nm", program))
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def failure(path, symbol):
    with pytest.raises(AttachError) as caught:
        places.find(str(path), symbol)
    return caught.value


@pytest.mark.parametrize("name", ["visible", "hidden", "main"])
def test_addresses_are_those_of_nm(program, addresses, name):
    place = places.find(str(program), name)
    assert place.address == addresses[name]
    listing = lines_of("objdump", "-d", f"--disassemble={name}", "-F", program)
    line = next(each for each in listing if f"<{name}>" in each and "File Offset" in each)
    assert place.offset == int(line.split("File Offset: ")[1].split(")")[0], 16)


def test_offsets(program):
    start = places.find(str(program), "visible")
    assert places.find(str(program), "visible+0x4").offset == start.offset + 4
    assert places.find(str(program), hex(start.offset)).address == start.address
    assert "executable" in failure(program, "0x1").why
    assert "no number" in failure(program, "visible+0xzz").what


def test_versions_and_libraries():
    libc = places.find("libc", "malloc")
    assert Path(libc.path).name.startswith("libc.so")
    assert places.find("libc.so.6", "malloc") == libc
    assert places.find("c", "malloc") == libc
    rows = (line.split() for line in lines_of("nm", "-D", libc.path))
    known = {row[2].partition("@")[0]: int(row[0], 16) for row in rows if len(row) == 3}
    assert libc.address == known["malloc"]


def test_readable_names(tmp_path):
    text = """
    namespace ns { int f(int x) { return x; }
                   int g(int) { return 1; } int g(long) { return 2; } }
    """
    library = str(compiled(tmp_path, "lib.so", text, "g++", "-shared", "-fPIC"))
    assert places.find(library, "ns::f").address == places.find(library, "_ZN2ns1fEi").address
    exact = places.find(library, "_ZN2ns1gEl").address
    assert places.find(library, "ns::g(long)").address == exact
    error = failure(library, "ns::g")
    assert "2 functions" in error.what
    assert "0x" in error.advice


def test_stripped_programs_say_so(program, tmp_path):
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, program], check=True)
    error = failure(stripped, "hidden")
    assert "stripped" in error.why
    assert "dbgsym" in error.advice


def test_debug_files_help(program, tmp_path, addresses):
    stripped = tmp_path / "prog"
    subprocess.run(["objcopy", "--only-keep-debug", program, tmp_path / "prog.debug"], check=True)
    subprocess.run(["strip", "-o", stripped, program], check=True)
    link = f"--add-gnu-debuglink={tmp_path / 'prog.debug'}"
    subprocess.run(["objcopy", link, stripped], check=True)
    assert places.find(str(stripped), "hidden").address == addresses["hidden"]


def test_similar_names(program):
    assert "visible" in failure(program, "visibel").advice
    assert "visible" in failure(program, "VISIBLE").advice


def test_functions_that_choose_at_run_time(tmp_path):
    text = """
    static int one_impl(void) { return 1; }
    static void *choose(void) { return one_impl; }
    int one(void) __attribute__((ifunc("choose")));
    """
    library = compiled(tmp_path, "lib.so", text, "gcc", "-shared", "-fPIC")
    error = failure(library, "one")
    assert "IFUNC" in error.why
    assert "one_impl" in error.advice


def test_two_functions_of_one_name(tmp_path):
    body = "static __attribute__((noinline, used)) int twin(int x) { return x + %d; }"
    for number in (1, 2):
        text = tmp_path / f"{number}.c"
        text.write_text(body % number)
        subprocess.run(["gcc", "-c", text, "-o", text.with_suffix(".o")], check=True)
    objects = [tmp_path / "1.o", tmp_path / "2.o"]
    subprocess.run(["gcc", "-shared", "-o", tmp_path / "lib.so", *objects], check=True)
    assert "2 functions" in failure(tmp_path / "lib.so", "twin").what


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such/file", "no file"),
        ("no-such-program-at-all", "no program and no library"),
        ("/etc/passwd", "No probe can be put into"),
        ("/tmp", "No probe can be put into"),
        ("/usr/bin/prog (deleted)", "was deleted"),
    ],
)
def test_files_that_are_none(path, words):
    error = failure(path, "main")
    assert words in error.what
    assert error.advice


def test_a_deleted_program_is_found_through_its_process(program, tmp_path):
    gone = tmp_path / "gone"
    shutil.copy(shutil.which("sleep"), gone)
    process = subprocess.Popen([gone, "60"])
    try:
        os.unlink(gone)
        assert "/proc/PID/exe" in failure(gone, "main").advice
        assert places.find(f"/proc/{process.pid}/exe", "0x4000").offset == 0x4000
    finally:
        process.kill()
        process.wait()


def test_another_machine(tmp_path, program):
    data = bytearray(program.read_bytes())
    data[18:20] = (183 if data[18] == 62 else 62).to_bytes(2, "little")
    other = tmp_path / "other"
    other.write_bytes(data)
    assert "another machine" in failure(other, "main").why
