"""Every kind, whatever it is: declared, compiled, described, unchanged, and written to the end."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import START, side_batches

import workbench as wb
from workbench import kinds
from workbench.batch import Batcher, column
from workbench.elf import Elf
from workbench.errors import ParameterError, UnknownKindError
from workbench.kinds import OBJECTS
from workbench.probe import btf as b
from workbench.probe.btf import Btf
from workbench.probe.layout import arrow_schema, event_layout
from workbench.recorder.device_names import dictionary
from workbench.recorder.tables import AggregateSource, source_class
from workbench.schema import TYPEDEFS
from workbench.store.manifest import Manifest
from workbench.store.writer import SessionWriter

KINDS = list(kinds.all_kinds().values())
OFFSET = START - 1_000_000_000_000
ROWS = 500
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)


def btf_of(kind):
    with Elf.open(OBJECTS / f"{kind.name}.bpf.o") as elf:
        return Btf.parse(elf.section_bytes(".BTF"))


def structs(kind):
    """Layouts of all structs whose fields become columns."""
    names = [kind.event]
    if kind.aggregation:
        names += [kind.aggregation.key, kind.aggregation.value]
    return [event_layout(btf_of(kind), name) for name in names]


def test_a_file_is_a_kind():
    folder = Path(kinds.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert set(kinds.all_kinds()) == files == {kind.name for kind in KINDS}
    assert list(kinds.all_kinds()) == sorted(kinds.all_kinds())
    assert set(kinds.__all__) <= set(dir(kinds))


def test_find():
    assert kinds.find("cpu") is kinds.all_kinds()["cpu"]
    for name in ("", "_kind", "no_such", 5):
        with pytest.raises(UnknownKindError, match=re.escape(repr(name))) as caught:
            kinds.find(name)
        assert "cpu" in caught.value.why


def test_the_package_is_a_function():
    assert kinds()["kind"].to_list() == list(kinds.all_kinds())


@every_kind
def test_is_declared_for_people(kind):
    assert kind.answers.endswith("?")
    assert kind.cost
    assert kind.probes
    assert kind.ring_bytes & (kind.ring_bytes - 1) == 0
    assert all(p.help for p in kind.parameters)
    assert kind.check({}) == {p.name: p.default for p in kind.parameters}
    for parameter in kind.parameters:
        assert parameter.check(parameter.default) == parameter.default


@every_kind
def test_its_object_takes_its_settings(kind):
    btf = btf_of(kind)
    assert (b.STRUCT, kind.event) in btf.by_name
    settings = kind.settings(kind.check({}), "x86_64")
    assert set(settings) <= set(btf.datasec(".rodata"))
    assert {"wb_stats"} <= set(btf.datasec(".bss"))
    assert {"wb_rings", "wb_perf", "wb_targets", "wb_cgroup"} <= set(btf.datasec(".maps"))
    if kind.aggregation:
        assert kind.aggregation.map in btf.datasec(".maps")
        assert kind.aggregation.count in [f.name for f in structs(kind)[2].fields]


@every_kind
def test_every_column_is_described(kind):
    for layout in structs(kind):
        for field in layout.fields:
            assert field.unit in ("1", "ns", "bytes"), field.name
            assert len(field.meaning) > 5, field.name
            if field.typedef.startswith("wb_"):
                assert field.unit == TYPEDEFS[field.typedef].unit
        for column_ in arrow_schema(layout):
            assert set(column_.metadata) == {b"unit", b"meaning"}


@every_kind
def test_its_layout_is_the_known_one(kind):
    """A change here changes the session format: look at it, then move the file that it names."""
    actual = [
        {
            "struct": layout.name,
            "size": layout.dtype.itemsize,
            "tail": [layout.tail[0], str(layout.tail[1])] if layout.tail else None,
            "fields": [
                {
                    "name": f.name,
                    "offset": layout.dtype.fields[f.name][1],
                    "dtype": str(f.dtype),
                    "typedef": f.typedef,
                    "unit": f.unit,
                    "meaning": f.meaning,
                }
                for f in layout.fields
            ],
        }
        for layout in structs(kind)
    ]
    golden = Path(__file__).parent / "golden" / f"{kind.name}.json"
    beside = golden.with_suffix(".actual.json")
    if not golden.exists() or json.loads(golden.read_text()) != actual:
        beside.write_text(json.dumps(actual, indent=1) + "\n")
        pytest.fail(f"The layout differs from {golden.name}; the actual one is {beside}.")
    beside.unlink(missing_ok=True)


def random_records(layout, rng):
    raw = rng.integers(0, 256, (ROWS, layout.dtype.itemsize), np.uint8)
    records = np.ascontiguousarray(raw).view(layout.dtype)[:, 0].copy()
    for name in set(layout.dtype.names) & {"ts", "latency"}:
        records[name] = np.sort(rng.integers(0, 1 << 33, ROWS))
    for name in layout.dtype.names:
        if name.endswith("_sum"):
            records[name] >>= 2
    return records


def made_up(numbers):
    """Texts of numbers that are looked up while recording: devices, paths."""
    return dictionary(numbers, "text {}".format)


ENCODERS = {"wb_device": made_up, "wb_path": made_up}


def texts(type_, rng):
    """A column of texts that a source adds itself."""
    return pa.array([f"text {n}" for n in rng.integers(0, 9, ROWS)]).cast(type_)


def stream_of(kind, rng):
    """Batches as the recorder makes them: (table, batch)."""
    layout = structs(kind)[0]
    make = source_class(kind, kind.check({}))
    source = object.__new__(make)
    source.layout = layout
    schema = source._schema()
    extra = {
        name: rng.integers(0, 8, ROWS).astype(np.uint32)
        for name in schema.names
        if name == "weight" or name.endswith("stack_id")
    }
    known = {field.name for field in layout.fields}
    extra |= {name: texts(schema.field(name).type, rng) for name in schema.names
              if name not in known | set(extra)}  # fmt: skip
    batcher = Batcher(layout, schema, OFFSET, ENCODERS)
    return kind.name, batcher.batch(random_records(layout, rng), **extra)


def aggregate_of(kind, rng):
    source = SimpleNamespace(object=SimpleNamespace(btf=btf_of(kind)), aggregation=kind.aggregation)
    schema = AggregateSource._schema(source)
    arrays = [column(np.full(ROWS, START), schema.field("ts").type)]
    for layout in structs(kind)[1:]:
        part = Batcher(layout, arrow_schema(layout), 0, ENCODERS)
        arrays += part.batch(random_records(layout, rng)).columns
    return kind.aggregation.table, pa.RecordBatch.from_arrays(arrays, schema=schema)


CASES = {kind.name: (kind, stream_of) for kind in KINDS}
CASES |= {k.aggregation.table: (k, aggregate_of) for k in KINDS if k.aggregation}


@pytest.mark.parametrize(("kind", "make"), CASES.values(), ids=CASES)
def test_a_batch_survives_to_every_export(kind, make, tmp_path):
    table, batch = make(kind, np.random.default_rng(7))
    batch.validate(full=True)
    manifest = Manifest(
        kinds={kind.name: {}},
        start_ns=START,
        objects={kind.name: "0" * 64},
        target={},
        host={"node": "n", "machine": "x86_64", "kernel": "6", "cpus": 1, "boot_id": "b"},
        clock={"offset_start_ns": OFFSET, "offset_stop_ns": None},
    )
    writer = SessionWriter.create(tmp_path / "s.wb", manifest, {table: batch.schema})
    for side, batches in side_batches().items():
        for one in batches:
            writer.append(side, one)
    for at in range(0, ROWS, 200):
        writer.append(table, batch.slice(at, 200))
    writer.finish(reason="test", stop_ns=START + 10**10)
    if make is aggregate_of:  # the last row of a key wins, in the order of the keys
        frame = pl.DataFrame(batch).with_columns(pl.col(pl.Categorical).cast(pl.String))
        order = frame.select(pl.arg_sort_by([f.name for f in structs(kind)[1].fields]))
        batch = batch.take(order.to_series().to_arrow())
    with wb.open(tmp_path / "s.wb") as session:
        rows = session[table].arrow()
        for name in batch.schema.names:
            assert rows.schema.field(name).type == batch.schema.field(name).type, name
            assert plain(rows[name].combine_chunks()).equals(plain(batch[name])), name
            assert rows.schema.field(name).metadata[b"unit"]
        promised = set(kind.derived) if make is stream_of or "nr" in batch.schema.names else set()
        assert promised | {"comm"} <= set(rows.column_names) | {"weight", "errno"}
        check_exports(session, table, rows, tmp_path)


def plain(array):
    """An array without its dictionary, whose order may change."""
    return array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array


def check_exports(session, table, rows, tmp_path):
    parquet = session.export("parquet", tmp_path / "t.parquet", table=table)
    assert pq.read_table(parquet).to_pylist() == rows.to_pylist()
    with pa.ipc.open_file(session.export("arrow", tmp_path / "t.arrow", table=table)) as file:
        assert file.read_all().to_pylist() == rows.to_pylist()
    with session.export("csv", tmp_path / "t.csv", table=table).open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == rows.num_rows
    frame = pl.DataFrame(rows)
    for name in frame.columns:
        if frame.schema[name].is_integer():
            got = [int(line[name]) if line[name] else None for line in lines]
            assert got == frame[name].to_list(), name


def test_a_kind_with_an_object_of_its_own(monkeypatch):
    kind = kinds.CaptureKind("own", "What?", "little", (), object="/elsewhere/own.bpf.o")
    assert str(kind.path) == "/elsewhere/own.bpf.o"
    known = dict(kinds.all_kinds())
    monkeypatch.setattr(kinds, "all_kinds", lambda: known)
    kinds.register(kind)
    assert kinds.find("own") is kind
    with pytest.raises(ParameterError, match="already"):
        kinds.register(kind)
    assert kinds.find("cpu").path == OBJECTS / "cpu.bpf.o"


def test_kinds_table_has_a_row_for_each_kind():
    table = kinds()
    assert table["kind"].to_list() == list(kinds.all_kinds())
    assert table.columns == ["kind", "answers", "probes", "parameters", "cost"]
    cpu = next(row for row in table.to_dicts() if row["kind"] == "cpu")
    assert "hz=99" in cpu["parameters"]
    assert all(row["answers"].endswith("?") for row in table.to_dicts())
