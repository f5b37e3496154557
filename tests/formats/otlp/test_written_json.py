"""OTLP in JSON lines: what is in them is what is encoded."""

import json

import pytest
import synthetic
from otlp_json_reference import from_otlp_json

from workbench.errors import ExportError
from workbench.formats import export
from workbench.formats.otlp.encode import requests
from workbench.formats.otlp.signals import SIGNALS
from workbench.recording import Recording

KEYS = {
    "resourceSpans": "traces",
    "resourceMetrics": "metrics",
    "resourceLogs": "logs",
    "resourceProfiles": "profiles",
}


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("otlp") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


def read(path):
    """(signal, message) of each line, by protobuf's own reader."""
    for line in path.read_text().splitlines():
        value = json.loads(line)
        signal = next(KEYS[key] for key in value if key in KEYS)
        yield signal, from_otlp_json(value, SIGNALS[signal].request()())


@pytest.mark.parametrize("table", [None, *SIGNALS])
def test_lines_are_the_requests(rec, table, tmp_path):
    path = export(rec, "otlp-json", tmp_path / "out.jsonl", table=table)
    made = list(requests(rec, SIGNALS if table is None else [table]))
    expected = [
        (request.signal, SIGNALS[request.signal].request().FromString(request.body))
        for request in made
    ]
    assert list(read(path)) == expected
    assert table != "traces" or sum(request.items for request in made) > 100


def test_other_tables_are_no_signals(rec, tmp_path):
    with pytest.raises(ExportError, match="no signal cpu"):
        export(rec, "otlp-json", tmp_path / "out", table="cpu")
