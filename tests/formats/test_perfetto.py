"""Perfetto traces, read with Perfetto's own schema (package perfetto) and its rules."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import reading
import span_session
import synthetic

from workbench.errors import ExportError
from workbench.exporting import remark
from workbench.formats import export
from workbench.formats._packets import in_order
from workbench.formats.perfetto import too_heavy
from workbench.session import open_session

trace_pb2 = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
BEGIN, END, COUNTER = 1, 2, 4


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("perfetto") / "a.wb"
    return open_session(synthetic.make_session(path, kinds=("syscalls", "cpu", "offcpu"), rows=700))


class Read:
    """A trace by the rules of its schema: state of the sequence, interned data, tracks, slices."""

    def __init__(self, path):
        trace = trace_pb2.Trace.FromString(path.read_bytes())
        assert not any(_unknown(packet) for packet in trace.packet)
        self.interned = defaultdict(dict)
        self.tracks, self.slices, self.samples = {}, [], []
        self.counters = defaultdict(list)
        self.clocks = {}
        cleared = False
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            cleared |= bool(packet.sequence_flags & 1)
            assert cleared or not packet.sequence_flags & 2
            for field, values in packet.interned_data.ListFields():
                for one in values:
                    assert one.iid not in self.interned[field.name]
                    self.interned[field.name][one.iid] = one
            for clock in packet.clock_snapshot.clocks:
                self.clocks[clock.clock_id] = clock.timestamp
            if packet.HasField("track_descriptor"):
                track = packet.track_descriptor
                assert track.uuid not in self.tracks
                assert not track.parent_uuid or track.parent_uuid in self.tracks
                self.tracks[track.uuid] = track
            if packet.HasField("perf_sample"):
                self.samples.append((packet.timestamp, packet.perf_sample))
        events = [p for p in trace.packet if p.HasField("track_event")]
        open_ = defaultdict(list)
        for packet in sorted(events, key=lambda p: p.timestamp):  # stable, as in Perfetto
            event = packet.track_event
            assert event.track_uuid in self.tracks
            if event.type == BEGIN:
                open_[event.track_uuid].append((packet.timestamp, event))
            elif event.type == END:
                begin, first = open_[event.track_uuid].pop()
                self.slices.append((begin, packet.timestamp - begin, first))
            else:
                assert event.type == COUNTER
                value = (packet.timestamp, event.double_counter_value)
                self.counters[self.tracks[event.track_uuid].name].append(value)
        assert not any(open_.values())

    def utc(self, boot):
        return boot - self.clocks[6] + self.clocks[1]

    def name(self, event):
        return self.interned["event_names"][event.name_iid].name

    def category(self, event):
        return self.interned["event_categories"][event.category_iids[0]].name

    def details(self, event):
        names = self.interned["debug_annotation_names"]
        texts = self.interned["debug_annotation_string_values"]
        return {
            names[one.name_iid].name: texts[one.string_value_iid].str.decode()
            if one.string_value_iid
            else one.int_value
            for one in event.debug_annotations
        }

    def stack(self, iid):
        """Return functions, root first."""
        names, frames = self.interned["function_names"], self.interned["frames"]
        found = []
        for at in self.interned["callstacks"][iid].frame_ids:
            assert frames[at].mapping_id in self.interned["mappings"]
            found.append(names[frames[at].function_name_id].str.decode())
        return found


def _unknown(packet):
    return packet.ByteSize() != type(packet).FromString(packet.SerializeToString()).ByteSize()


def read(rec, path, table=None):
    export(rec, "perfetto", path, table=table)
    return Read(path)


@pytest.mark.parametrize("tids", [None, [1001, 2000]], ids=["all", "some"])
def test_spans_are_the_calls(rec, tids, tmp_path):
    part = rec.where(tid=tids) if tids else rec
    trace = read(part, tmp_path / "out")
    rows = part["syscalls"].polars()
    columns = (rows["tid"], rows["ts"].to_physical(), rows["latency"].to_physical(),
               rows["name"].cast(str), rows["ret"], rows["errno"])  # fmt: skip
    found = Counter()
    for begin, length, event in trace.slices:
        if trace.category(event) == "syscalls":
            details = trace.details(event)
            thread = trace.tracks[event.track_uuid].thread
            key = (thread.tid, trace.utc(begin), length, trace.name(event))
            found[*key, details["ret"], details.get("errno")] += 1
    wanted = Counter(zip(*(c.to_list() for c in columns), strict=True))
    # Calls of the synthetic thread may overlap: then which end is whose is not told apart.
    assert sum(found.values()) == sum(wanted.values())
    assert {k[:2] + k[3:] for k in found} == {k[:2] + k[3:] for k in wanted}
    assert sum(k[2] * n for k, n in found.items()) == sum(k[2] * n for k, n in wanted.items())
    off = [e for _, _, e in trace.slices if trace.category(e) == "offcpu"]
    assert len(off) == part["offcpu"].num_rows
    stacks = Counter(";".join(trace.stack(e.callstack_iid)) for e in off)
    names = [";".join(synthetic.FRAMES[i][0] for i in stack) for stack in synthetic.STACKS]
    assert stacks == Counter(names[at] for at in part["offcpu"].polars()["stack_id"])


def test_samples_are_those_of_the_hot_spots(rec, tmp_path):
    trace = read(rec, tmp_path / "out")
    own, total = Counter(), Counter()
    for _, sample in trace.samples:
        stack = trace.stack(sample.callstack_iid)
        own[stack[-1]] += 1
        total.update(set(stack))
    spots = rec.hotspots("cpu").functions
    assert total == dict(spots.select("name", "total").iter_rows())
    assert own == +Counter(dict(spots.select("name", "self").iter_rows()))
    rows = rec["cpu"].polars()
    times = Counter((trace.utc(ts), s.tid, s.pid, s.cpu) for ts, s in trace.samples)
    keys = zip(rows["ts"].to_physical(), rows["tid"], rows["pid"], rows["cpu"], strict=True)
    assert times == Counter(dict(zip(keys, rows["weight"], strict=True)))
    modes = {trace.stack(s.callstack_iid)[-1]: s.cpu_mode for _, s in trace.samples}
    assert (modes["vfs_read"], modes["compute"]) == (1, 2)


def test_threads_and_counters(rec, tmp_path):
    trace = read(rec, tmp_path / "out")
    threads = {(t.thread.pid, t.thread.tid): t for t in trace.tracks.values() if t.thread.tid}
    assert threads.keys() == {(pid, tid) for tid, (pid, _, _) in synthetic.THREADS.items()}
    worker = threads[1000, 1001]
    assert worker.thread.thread_name == "worker-0"
    assert trace.tracks[worker.parent_uuid].process.process_name == "bash"
    assert trace.utc(trace.clocks[6]) == rec.manifest.start_ns
    for table in ("syscalls", "cpu", "offcpu"):
        found = trace.counters[f"{table}/s"]
        width = (found[1][0] - found[0][0]) / 1e9
        total = rec[table].polars()["weight"].sum()
        assert sum(value for _, value in found) * width == pytest.approx(total)


def test_what_overlaps_has_tracks_of_its_own(tmp_path):
    rec = open_session(span_session.make_session(tmp_path / "a.wb"))
    trace = read(rec, tmp_path / "out")
    found = sorted(
        (trace.name(event), (trace.utc(begin) - rec.manifest.start_ns) / 1e6, length / 1e6)
        for begin, length, event in trace.slices
    )
    assert found == span_session.SPANS
    assert len({event.track_uuid for _, _, event in trace.slices}) == len(found)
    texts = {trace.name(e): trace.details(e) for _, _, e in trace.slices}
    assert texts["A é.example"]["rcode"] == "noerror"


def test_one_table(rec, tmp_path):
    trace = read(rec, tmp_path / "out", "cpu")
    assert not trace.slices
    assert trace.counters.keys() == {"cpu/s"}
    with pytest.raises(ExportError, match="events"):
        export(rec, "perfetto", tmp_path / "out", table="stacks")


def test_is_deterministic(rec, tmp_path):
    for name in ("a", "b"):
        export(rec, "perfetto", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_spans_at_one_time_nest():
    import numpy as np

    begin, end = np.array([5, 0, 0, 5, 5]), np.array([9, 5, 2, 7, 5])
    begins, ends = in_order(begin, end)
    events = sorted(
        [(p, "b", i) for i, p in enumerate(begins)] + [(p, "e", i) for i, p in enumerate(ends)]
    )
    order = [what + str(i) for _, what, i in events]
    assert order == ["b1", "b2", "e2", "e1", "b0", "b3", "b4", "e4", "e3", "e0"]


def test_tables_whose_rows_stand_for_too_many_are_left_out_and_told(tmp_path):
    text = b"@light[\n    work+1\n    main+2\n]: 7\n@heavy[\n    idle+1\n    main+2\n]: 5000\n"
    rec = reading.session(text, tmp_path / "a.wb", "bpftrace")
    trace = read(rec, tmp_path / "out")
    assert len(trace.samples) == 7
    assert too_heavy(rec) == ["heavy"]
    assert "Samples of heavy were left out" in remark(rec, "perfetto")
    assert remark(rec, "perfetto", "light") == ""
    for chosen, table in (
        (rec, "heavy"),
        (reading.session(b"a;b 5000\n", tmp_path / "b.wb"), None),
    ):
        with pytest.raises(ExportError, match=r"stands for 5,000 events[\s\S]*speedscope"):
            export(chosen, "perfetto", tmp_path / "none", table=table)
    assert not (tmp_path / "none").exists()
