"""Functions, lines and inlining equal what llvm-symbolizer says of the same addresses."""

import json
import os
import shutil
import subprocess

import pytest

from workbench.symbols.line_cache import LineCache
from workbench.symbols.lines import LineReader

SOURCE = """
#include <cstdlib>
#include <vector>
namespace deep {
static inline __attribute__((always_inline)) int third(int x) { return x * 3 + rand(); }
static inline __attribute__((always_inline)) int second(int x) { return third(x) + third(x + 1); }
template <typename T> static inline __attribute__((always_inline)) T first(T x) {
    T sum = 0;
    for (T i = 0; i < x; i++)
        sum += second(i);
    return sum;
}
}
__attribute__((noinline)) int work(int x) { return deep::first(x) + deep::second(x); }
int main(int argc, char **argv) { std::vector<int> v(argc, 3); return work(v.back()); }
"""


def built(folder, *options):
    source = folder / "inlines.cpp"
    source.write_text(SOURCE)
    program = folder / "program"
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, "-O2", "-g", *options, "-o", program, source], check=True)
    return program


def code_of(program):
    """Addresses of work() and main(), every second byte."""
    text = subprocess.run(["nm", "-S", program], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines()]
    sizes = {row[3]: (int(row[0], 16), int(row[1], 16)) for row in rows if len(row) == 4}
    return [
        start + at for name in ("_Z4worki", "main") for start, size in [sizes[name]]
        for at in range(0, size, 2)
    ]  # fmt: skip


def told_by_llvm(program, addresses):
    command = ["llvm-symbolizer", "--inlines", "--output-style=JSON", f"--obj={program}"]
    asked = "\n".join(hex(address) for address in addresses)
    run = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    return [json.loads(line)["Symbol"] for line in run.stdout.splitlines()]


def read(reader, program, addresses):
    with program.open("rb") as file:
        return reader.lookup(file.fileno(), "", addresses)


@pytest.fixture
def reader(tmp_path):
    reader = LineReader(LineCache(tmp_path / "cache"))
    yield reader
    reader.close()


def bare(name):
    return name.split("(")[0].split("<")[0].rsplit(" ", 1)[-1].rsplit("::", 1)[-1]


@pytest.mark.skipif(shutil.which("llvm-symbolizer") is None, reason="needs llvm-symbolizer")
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_equal_to_llvm_symbolizer(reader, tmp_path, dwarf):
    program = built(tmp_path, dwarf)
    addresses = code_of(program)
    told = told_by_llvm(program, addresses)
    assert max(map(len, told)) >= 3
    for found, expected in zip(read(reader, program, addresses), told, strict=True):
        assert [bare(each.function) for each in found] == [
            bare(each["FunctionName"]) for each in expected
        ]
        assert [each.line for each in found] == [each["Line"] for each in expected]
        assert {each.file for each in found} == {each["FileName"] for each in expected}
    assert (reader.status, reader.failures) == ("ok", 0)


def test_the_second_reader_takes_what_the_first_one_made(tmp_path):
    program = built(tmp_path)
    answers = []
    for _ in range(2):
        reader = LineReader(LineCache(tmp_path / "cache"))
        answers.append(read(reader, program, code_of(program)))
        reader.close()
    assert answers[0] == answers[1]
    assert any(answers[0])
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_damaged_entry_is_made_anew(reader, tmp_path):
    program = built(tmp_path)
    first = read(reader, program, code_of(program))
    reader.close()
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(b"damaged" * 100)
    again = LineReader(LineCache(tmp_path / "cache"))
    assert read(again, program, code_of(program)) == first
    again.close()


def test_files_that_are_no_programs(reader, tmp_path):
    for content in (b"", b"text", b"\x7fELF" + bytes(100)):
        path = tmp_path / "odd"
        path.write_bytes(content)
        assert read(reader, path, [1, 2]) == [(), ()]
    assert reader.failures >= 1
    program = built(tmp_path)
    assert any(read(reader, program, code_of(program)))


def test_a_reader_whose_process_dies_goes_on(reader, tmp_path):
    program = built(tmp_path)
    assert any(read(reader, program, code_of(program)))
    reader._child.kill()
    reader._child.wait()
    other = tmp_path / "other"
    shutil.copy(program, other)
    read(reader, other, [1])
    third = tmp_path / "third"
    shutil.copy(program, third)
    assert any(read(reader, third, code_of(program)))


def test_nothing_is_answered_after_close(reader, tmp_path):
    program = built(tmp_path)
    reader.close()
    assert read(reader, program, [1]) == [()]
