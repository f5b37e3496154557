"""The bundled session in every format: its totals, nothing lost and nothing doubled.

Each format is read by means that share nothing with what wrote it.
"""

from __future__ import annotations

import csv
import gzip
import json
import struct
from collections import Counter
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import workbench as wb
from workbench.formats import export, writable

DATASET = Path(__file__).parents[2] / "datasets" / "slow-api.wb"
SLOW = {"chrome", "otlp-json"}
"""Their text is large: a part of the session is enough."""


@pytest.fixture(scope="module")
def session():
    return wb.open(DATASET)


def calls_of(rec):
    """How often each system call was made, and how long all of them took, ns."""
    rows = rec["syscalls"].polars()
    return Counter(rows["name"].cast(pl.String).to_list()), rows["latency"].to_physical().sum()


def samples_of(rec):
    """Samples of each thread."""
    rows = rec["cpu"].polars().group_by("tid").agg(pl.col("weight").sum())
    return Counter(dict(rows.iter_rows()))


def varints(data):
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def fields(data):
    """Numbers and values of a protobuf message, by the encoding's own rules."""
    at = 0

    def number():
        nonlocal at
        end = at
        while data[end] > 127:
            end += 1
        found = next(varints(data[at : end + 1]))
        at = end + 1
        return found

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            assert key & 7 == 2
            size = number()
            yield key >> 3, data[at : at + size]
            at += size


def packed(value):
    return [value] if isinstance(value, int) else list(varints(value))


class Written:
    """A session in a format, and what of it the file is to hold."""

    def __init__(self, rec, format, folder):
        self.rec = rec
        self.format = format
        self.folder = folder

    def file(self, table=None):
        return export(self.rec, self.format, self.folder / f"{table}", table=table)

    def tables(self, read):
        """Formats of one table, read with polars."""
        for name in ("cpu", "syscalls"):
            rows = read(self.file(name))
            expected = self.rec[name].polars()
            assert len(rows) == len(expected)
            assert rows["weight"].cast(int).sum() == expected["weight"].sum()
            assert rows["tid"].cast(int).equals(expected["tid"].cast(int))
        names, latency = calls_of(self.rec)
        assert Counter(rows["name"].cast(pl.String).to_list()) == names
        assert rows["latency"].cast(pl.Int64).sum() == latency

    def arrow(self):
        self.tables(lambda path: pl.from_arrow(pa.ipc.open_file(path).read_all()))

    def parquet(self):
        self.tables(pl.read_parquet)

    def csv(self):
        def read(path):
            with path.open() as file:
                return pl.DataFrame(list(csv.DictReader(file)))

        self.tables(read)

    def folded(self):
        found = Counter()
        for line in self.file().read_text().splitlines():
            stack, _, weight = line.rpartition(" ")
            found[stack.split(";")[0]] += int(weight)
        rows = self.rec["cpu"].polars().group_by(pl.col("comm").cast(pl.String))
        assert found == dict(rows.agg(pl.col("weight").sum()).iter_rows())

    def pprof(self, unpack=gzip.decompress):
        message = list(fields(unpack(self.file().read_bytes())))
        texts = [value.decode() for number, value in message if number == 6]
        units = [dict(fields(value)) for number, value in message if number == 1]
        at = [(texts[u[1]], texts[u[2]]) for u in units].index(("samples", "count"))
        found = Counter()
        for sample in (list(fields(value)) for number, value in message if number == 2):
            values = [v for number, value in sample if number == 2 for v in packed(value)]
            assert len(values) == len(units)
            labels = [dict(fields(value)) for number, value in sample if number == 3]
            tid = next(label[3] for label in labels if texts[label[1]] in {"tid", "thread_id"})
            found[tid] += values[at]
        assert found == samples_of(self.rec)

    def pprof_plain(self):
        self.pprof(lambda data: data)

    def speedscope(self):
        found = Counter()
        for profile in json.loads(self.file().read_bytes())["profiles"]:
            assert len(profile["samples"]) == len(profile["weights"])
            if "(all threads)" not in profile["name"]:
                found[int(profile["name"].rpartition("/")[2].rstrip(")"))] += sum(
                    profile["weights"]
                )
        assert found == samples_of(self.rec)

    def chrome(self):
        names, latency = calls_of(self.rec)
        events = json.loads(self.file().read_bytes())["traceEvents"]
        spans = [event for event in events if event.get("cat") == "syscalls"]
        begun = [event for event in spans if event["ph"] in "Xb"]
        assert Counter(event["name"] for event in begun) == names
        ends = {"b": -1, "e": 1}
        total = sum(
            round(event["dur"] * 1000)
            if event["ph"] == "X"
            else ends[event["ph"]] * round(event["ts"] * 1000)
            for event in spans
        )
        assert total == latency

    def firefox(self):
        names, latency = calls_of(self.rec)
        made = json.loads(self.file().read_bytes())
        texts = made["shared"]["stringArray"]
        markers, samples, took = Counter(), Counter(), 0.0
        for thread in made["threads"]:
            rows = thread["markers"]
            for at, data in enumerate(rows["data"]):
                if data["type"] == "syscalls":
                    markers[texts[rows["name"][at]]] += 1
                    took += rows["endTime"][at] - rows["startTime"][at]
            if thread["samples"]["length"]:
                samples[int(thread["tid"])] += sum(thread["samples"]["weight"])
        assert markers == names
        assert round(took * 1e6) == pytest.approx(latency, abs=len(self.rec["syscalls"]))  # 1 ns
        assert samples == samples_of(self.rec)

    def perfetto(self):
        schema = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
        names, latency = calls_of(self.rec)
        trace = schema.Trace.FromString(self.file().read_bytes())
        texts, found, samples, took = {}, Counter(), Counter(), 0
        for packet in trace.packet:
            texts |= {each.iid: each.name for each in packet.interned_data.event_names}
            if packet.HasField("perf_sample"):
                samples[packet.perf_sample.tid] += 1
            event = packet.track_event
            if packet.HasField("track_event") and event.type in {1, 2}:
                took += packet.timestamp if event.type == 2 else -packet.timestamp
                if event.type == 1:
                    found[texts[event.name_iid]] += 1
        assert found == names
        assert took == latency
        assert samples == samples_of(self.rec)

    def otlp_json(self):
        from otlp_json_reference import from_otlp_json

        keys = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs",
                "resourceProfiles": "profiles"}  # fmt: skip
        signals = {name: [] for name in keys.values()}
        for line in self.file().read_text().splitlines():
            value = json.loads(line)
            name = next(keys[key] for key in value if key in keys)
            signals[name].append(from_otlp_json(value, self.message(name)))
        self.otlp(signals)

    def otlp_proto(self):
        signals = {}
        for name in ("traces", "metrics", "logs", "profiles"):
            data, signals[name] = self.file(name).read_bytes(), []
            while data:
                (size,) = struct.unpack(">I", data[:4])
                message = self.message(name)
                message.ParseFromString(data[4 : 4 + size])
                signals[name].append(message)
                data = data[4 + size :]
        self.otlp(signals)
        assert self.file().read_bytes() == self.file("traces").read_bytes()

    def message(self, signal):
        from otlp_sessions import CLASSES

        return CLASSES[signal]()

    def otlp(self, signals):
        from otlp_sessions import last_points, profiles, spans

        names, latency = calls_of(self.rec)
        every = spans(signals["traces"])
        assert len({span.span_id for span in every}) == len(every)
        calls = [
            span
            for span in every
            if any(each.key == "workbench.syscall.return_value" for each in span.attributes)
        ]
        assert Counter(span.name for span in calls) == names
        took = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in calls)
        assert took == latency
        durations = last_points(signals["metrics"], "workbench.syscall.duration")
        assert sum(point.count for point in durations) == names.total()
        assert sum(point.sum for point in durations) == latency  # its unit is ns
        samples = last_points(signals["metrics"], "workbench.cpu.samples")
        assert sum(point.as_int for point in samples) == samples_of(self.rec).total()
        times = sorted(
            time
            for profile in profiles(signals["profiles"])
            for sample in profile.samples
            for time in sample.timestamps_unix_nano
        )
        assert times == sorted(self.rec["cpu"].polars()["ts"].to_physical().to_list())


@pytest.mark.parametrize("format", sorted(writable()))
def test_totals(session, format, tmp_path):
    if format.startswith("otlp"):
        pytest.importorskip("opentelemetry.proto")
    part = session.window(2.0, 2.1) if format in SLOW else session
    assert samples_of(part)
    assert calls_of(part)[1]
    check = getattr(Written(part, format, tmp_path), format.replace("-", "_"))
    check()
