"""OTLP as length-delimited protobuf: one signal in each file."""

import struct

import pytest
import synthetic

from workbench.errors import ExportError
from workbench.formats import export
from workbench.formats.otlp.encode import requests
from workbench.formats.otlp.signals import SIGNALS
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("otlp") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


@pytest.mark.parametrize("table", [None, *SIGNALS])
def test_messages_are_the_requests(rec, table, tmp_path):
    data = export(rec, "otlp-proto", tmp_path / "out.otlp", table=table).read_bytes()
    bodies = []
    while data:
        (size,) = struct.unpack(">I", data[:4])
        bodies.append(data[4 : 4 + size])
        data = data[4 + size :]
    assert bodies == [request.body for request in requests(rec, [table or "traces"])]
    assert table not in {None, "traces", "profiles"} or len(bodies[0]) > 1000


def test_other_tables_are_no_signals(rec, tmp_path):
    with pytest.raises(ExportError, match="no signal cpu"):
        export(rec, "otlp-proto", tmp_path / "out", table="cpu")
