"""Files that are no loadable BPF object: each is refused, and told what it lacks."""

import os
import subprocess
import sys

import pytest
from compile_bpf import INCLUDES, LICENSE, PROGRAM, compile_bpf

from workbench.errors import ObjectFormatError
from workbench.kinds import OBJECTS
from workbench.probe.format_check import KNOWN_SECTIONS, check_object


def refused(path):
    with pytest.raises(ObjectFormatError) as caught:
        check_object(path)
    return caught.value


@pytest.mark.parametrize("path", sorted(OBJECTS.glob("*.bpf.o")), ids=lambda p: p.name)
def test_our_objects_are_fine(path):
    check_object(path)


def test_a_small_one_is_fine_and_nothing_stays_open(tmp_path):
    path = compile_bpf(tmp_path, PROGRAM)
    before = os.listdir("/proc/self/fd")
    check_object(path)
    assert os.listdir("/proc/self/fd") == before


def test_no_file(tmp_path):
    assert "There is no BPF object" in refused(tmp_path / "none.bpf.o").what
    assert "make bpf" in refused(tmp_path).advice  # a directory is none either


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\0" * 4096])
def test_not_elf(tmp_path, content):
    path = tmp_path / "x.bpf.o"
    path.write_bytes(content)
    assert "ELF" in refused(path).what


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_truncated(tmp_path, part):
    path = compile_bpf(tmp_path, PROGRAM)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert refused(path).why


def test_an_object_of_this_machine(tmp_path):
    source = tmp_path / "x.c"
    source.write_text("int f(void) { return 0; }\n")
    subprocess.run(["clang", "-c", source, "-o", tmp_path / "x.o"], check=True)
    assert "its ELF machine is" in refused(tmp_path / "x.o").why
    with pytest.raises(ObjectFormatError, match="is not a BPF object"):
        check_object(type(tmp_path)(os.path.realpath(sys.executable)))


def test_of_another_byte_order(tmp_path):
    assert "big-endian machine" in refused(compile_bpf(tmp_path, PROGRAM, target="bpfeb")).what


@pytest.mark.parametrize(
    ("options", "body", "what"),
    [
        ({"debug": False}, PROGRAM, "has no BTF"),
        ({"head": INCLUDES}, PROGRAM, "has no licence"),
        ({}, "int unused;\n", "holds no program"),
        ({}, "int f(void *ctx) { return 0; }\n", "holds no program"),
        ({}, 'SEC("nonsense/x") int f(void *ctx) { return 0; }\n', "nothing can be attached"),
        ({}, PROGRAM + 'SEC("tp_btf2") int f(void *c) { return 0; }\n', "nothing can be attached"),
    ],
)
def test_what_it_lacks(tmp_path, options, body, what):
    error = refused(compile_bpf(tmp_path, body, **options))
    assert what in error.what
    assert error.advice


def test_the_unknown_section_is_named(tmp_path):
    body = 'SEC("nonsense/x") int f(void *ctx) { return 0; }\n' + PROGRAM
    assert refused(compile_bpf(tmp_path, body)).why == "nonsense/x"


@pytest.mark.parametrize("section", ["?kprobe/x", "tp_btf/x", "uprobe.s//bin/sh:f", "xdp"])
def test_sections_that_are_known(tmp_path, section):
    check_object(compile_bpf(tmp_path, f'SEC("{section}") int f(void *ctx) {{ return 0; }}\n'))
    assert section.lstrip("?").partition("/")[0] in KNOWN_SECTIONS


def test_every_licence_section_counts(tmp_path):
    check_object(compile_bpf(tmp_path, PROGRAM, head=INCLUDES + LICENSE.replace("GPL", "MIT")))
