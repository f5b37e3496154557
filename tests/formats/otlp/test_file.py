"""OTLP in files, read back by independent means."""

import io
import json
import struct
from pathlib import Path

import pytest
import reading
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from otlp_json_reference import from_otlp_json
from otlp_messages import MAKERS, identities, traces
from resident import most_bytes

from workbench.errors import ExportError
from workbench.exporting import remark
from workbench.formats import export
from workbench.formats.otlp.file import (
    held_signal,
    read_delimited,
    write_delimited,
    write_json_lines,
)
from workbench.formats.otlp.signals import SIGNALS
from workbench.session import load_profile, open_session

KEYS = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}


def test_json_lines_hold_several_signals():
    file = io.BytesIO()
    made = [make(start, 10) for start in (0, 10) for make in MAKERS.values()]
    assert write_json_lines(iter(made), file) == 80
    lines = file.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(made)
    got = dict.fromkeys(SIGNALS, 0)
    for line, request in zip(lines, made, strict=True):
        value = json.loads(line)
        name = KEYS.get(next(iter(value)), "profiles")
        message = from_otlp_json(value, SIGNALS[name].request()())
        assert message == SIGNALS[name].request().FromString(request.body)
        got[name] += identities(name, message).total()
    assert got == dict.fromkeys(SIGNALS, 20)


def test_delimited_as_the_collector_writes_it():
    file = io.BytesIO()
    made = [traces(0, 3), traces(3, 200)]
    assert write_delimited(iter(made), file) == 203
    data, bodies = file.getvalue(), []
    while data:  # "an unsigned 32 bit integer", as the collector's README says
        (size,) = struct.unpack(">I", data[:4])
        bodies.append(data[4 : 4 + size])
        data = data[4 + size :]
    assert bodies == [request.body for request in made]
    file.seek(0)
    assert list(read_delimited(file)) == bodies


def test_delimited_files_hold_one_signal():
    with pytest.raises(ExportError, match="cannot hold traces and logs"):
        write_delimited([traces(), MAKERS["logs"]()], io.BytesIO())


def test_requests_are_written_as_they_come():
    file, sizes = io.BytesIO(), []

    def made():
        for start in range(3):
            sizes.append(file.tell())
            yield traces(start, 1)

    write_json_lines(made(), file)
    assert sizes == sorted(set(sizes))


@given(st.binary(max_size=40))
def test_any_bytes_end_in_messages_or_an_error(data):
    try:
        bodies = list(read_delimited(io.BytesIO(data)))
    except ExportError:
        return
    assert b"".join(struct.pack(">I", len(body)) + body for body in bodies) == data


@pytest.mark.parametrize(
    ("data", "match"),
    [(b"\0\0", "ends"), (b"\0\0\0\2a", "ends"), (b"\xff\xff\xff\xff", "claims 4,294,967,295")],
)
def test_damaged_files_are_told(data, match):
    with pytest.raises(ExportError, match=match):
        list(read_delimited(io.BytesIO(data)))


def test_memory_for_json_does_not_go_by_the_requests():
    before = """
import sys
sys.path.insert(0, sys.argv[1])
from otlp_messages import MAKERS
from workbench.formats.otlp.file import write_json_lines
request = MAKERS["traces"](0, 4000)
write_json_lines([request], open("/dev/null", "wb"))
"""
    work = 'write_json_lines([request] * int(sys.argv[2]), open("/dev/null", "wb"))'
    tests = Path(__file__).parent.parent.parent
    few, many = (most_bytes(before, work, tests, count) for count in (2, 80))
    text = io.BytesIO()
    assert write_json_lines([MAKERS["traces"](0, 4000)], text) == 4000
    assert 80 * len(text.getvalue()) > 80 << 20  # which would be seen
    assert many < few + (40 << 20)


def test_where_no_signal_is_named_it_is_the_one_that_the_session_is_about(tmp_path):
    captured = open_session(synthetic.make_session(tmp_path / "a.wb", rows=50))
    imported = reading.session(b'process 7:"x";thread (8): a;f (a.py:3) 5\n', tmp_path / "b.wb")
    for rec, signal in ((captured, "traces"), (imported, "profiles")):
        assert held_signal(rec) == signal
        export(rec, "otlp-proto", tmp_path / "out")
        export(rec, "otlp-proto", tmp_path / "named", table=signal)
        assert (tmp_path / "out").read_bytes() == (tmp_path / "named").read_bytes() != b""
        assert f"this one: {signal}." in remark(rec, "otlp-proto")
        assert remark(rec, "otlp-proto", signal) == ""
    total = load_profile(tmp_path / "out", tmp_path / "c.wb").flamegraph(by=()).tree.total
    assert total == 5
