"""perf.data of a program that the test starts, beside what perf itself says of it."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError
from workbench.formats import perf_data
from workbench.session import load_profile

BURN = Path(__file__).parents[2] / "workbench" / "demo" / "slow-api"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed")
    path = tmp_path_factory.mktemp("perf") / "perf.data"
    done = subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "-g", "-o", path, "--",
         BURN, "burn", "--seconds", "1"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode or not path.exists():
        pytest.skip(f"perf does not record here: {done.stderr}")
    return path


def perf(*words):
    return subprocess.run(
        ["perf", *words], capture_output=True, text=True, check=True, timeout=60
    ).stdout


@pytest.mark.kernel
def test_figures_are_those_of_perf_report(recorded, tmp_path):
    made = load_profile(recorded, tmp_path / "a.wb")
    report = perf("report", "-i", recorded, "--stdio", "--no-children", "-g", "none", "-n", "-F",
                  "sample,sym", "--percent-limit", "0", "-t", "|")  # fmt: skip
    expected = Counter()
    for line in report.splitlines():
        count, bar, symbol = line.partition("|")
        if bar and count.strip().isdecimal():
            expected[symbol.split("] ", 1)[1].strip()] += int(count)
    named = {name: n for name, n in expected.items() if not name.startswith("0x")}
    assert named
    # Not by a view: those leave out the frames of tracing programs, which may run here, too.
    leaf = (
        made["cpu"].polars()
        .join(made["stacks"].polars(), on="stack_id")
        .with_columns(pl.col("frame_ids").list.first().alias("frame_id"))
        .join(made["frames"].polars(), on="frame_id")
        .group_by("function").agg(pl.col("weight").sum())
    )  # fmt: skip
    assert {n: own for n, own in leaf.rows() if n != "[unknown]"} == named
    assert made["cpu"].polars()["weight"].sum() == sum(expected.values())
    rows = made["cpu"].polars()
    assert rows["pid"].n_unique() == 1
    assert rows["period"].min() > 0


@pytest.mark.kernel
@pytest.mark.parametrize("fields", ["", "+srcline", "+pid", "ip,sym,dso", "comm,ip,sym"])
def test_texts_of_perf_script_are_the_same(recorded, fields, tmp_path):
    whole = load_profile(recorded, tmp_path / "a.wb")
    words = ["-F", fields] if fields else []
    text = perf("script", "-i", recorded, "--no-inline", *words)
    made = reading.session(text.encode(), tmp_path / "b.wb")
    assert made.kinds == ("cpu",)
    assert reading.folded(made, "cpu") == reading.folded(whole, "cpu")


@pytest.mark.kernel
def test_tracepoints_keep_their_stacks(tmp_path):
    path = tmp_path / "perf.data"
    done = subprocess.run(
        ["perf", "record", "-q", "-e", "syscalls:sys_enter_nanosleep", "-e",
         "syscalls:sys_enter_clock_nanosleep", "-c", "1", "-g", "-o", path, "--", "sleep", "0.01"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode or not path.exists():
        pytest.skip(f"perf does not record tracepoints here: {done.stderr}")
    made = load_profile(path, tmp_path / "a.wb")
    (kind,) = made.kinds
    assert kind.endswith("nanosleep")
    rows = made[kind].polars()
    assert rows["comm"].cast(str).to_list() == ["sleep"]
    assert "rqtp:" in rows["fields"].cast(str)[0]
    text = perf("script", "-i", path, "--no-inline")
    assert "nanosleep" in made["frames"].polars()["function"].str.join(" ").item()
    assert made["stacks"].polars()["frame_ids"].list.len().item() == text.count("\n\t")


def test_without_samples(tmp_path, monkeypatch):
    empty = tmp_path / "perf"
    empty.write_text("#!/bin/sh\n")
    empty.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(empty))
    with pytest.raises(ImportFormatError, match="perf finds no sample"):
        perf_data.read(io.BytesIO(b"PERFILE2"))


def test_without_perf(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ImportFormatError, match="no perf here") as caught:
        perf_data.read(io.BytesIO(b"PERFILE2"))
    assert "perf script" in caught.value.advice


def test_what_perf_cannot_read():
    assert reading.recognised_as(b"PERFILE2" + bytes(100)) == "perf-data"
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed")
    with pytest.raises(ImportFormatError, match="perf cannot read") as caught:
        perf_data.read(io.BytesIO(b"PERFILE2" + bytes(100)))
    assert caught.value.why
