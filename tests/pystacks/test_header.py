"""What bpf/python.bpf.h and the package must agree on, read from the object's BTF."""

import re
from dataclasses import fields

import pytest
from compile_bpf import HEADERS
from pystacks_interpreters import compiled_stacks

from workbench.probe.objects import Object
from workbench.pystacks import frames, layout, objects
from workbench.pystacks.layout import TABLE, record

HEADER = "".join(path.read_text() for path in sorted(HEADERS.glob("python*.bpf.h")))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    with Object(compiled_stacks(tmp_path_factory.mktemp("header"))) as found:
        yield found


def test_statuses(loaded):
    names = re.findall(r"\tWB_PYTHON_([A-Z_]+),", HEADER)
    assert tuple(name.lower() for name in names) == frames.STATUSES[:-1]


def test_every_field_of_a_process_is_known(loaded):
    dtype = loaded.layout("wb_python_process").dtype
    derived = {"runtime", "code_type", "thread_key", "thread_bytes", "frame_bytes"}
    known = {field.name for field in fields(TABLE[3, 11])}
    assert set(dtype.names) - derived <= known
    assert known - set(dtype.names) == {"thread_id", "thread_native_id"}
    value = record(TABLE[3, 11], dtype, runtime=1, code_type=2, thread_key=3)
    assert value["frame_entry"] == 68
    assert loaded.maps["wb_python"].value_size == dtype.itemsize


def test_numbers():
    assert f"{layout.BLOCK_BYTES // 8}]; /* thread state or frame */" in HEADER
    assert f"WB_PYTHON_FINGERPRINT {objects.FINGERPRINT_SHIFT}" in HEADER
    assert f"{objects._MULTIPLIER:#x}ULL" in HEADER
    assert int(frames.ENTRY) == 1 << 32
    assert int(frames.HIDDEN) == 1 << 33
