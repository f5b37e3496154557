"""Cells: their states, what they show, how they end."""

import signal
import threading

import numpy as np
import pyarrow as pa
import pytest

from workbench.cells import cell as module
from workbench.cells.cell import bpf
from workbench.errors import AttachError, ParameterError, TargetError
from workbench.probe.map_access import ARRAY, PROG_ARRAY, QUEUE


class Table:
    def __init__(self, kind, values):
        self.raw = type("Raw", (), {"type": kind})
        self.values = values

    def arrow(self):
        return pa.table({"key": np.arange(len(self.values)), "value": self.values})

    def drain(self):
        import polars as pl

        return pl.DataFrame({"value": self.values})


class Engine:
    """A program that was never compiled."""

    fails = False

    def __init__(self, source):
        self.source, self.steps = source, []
        self.outlets = {}
        self.tables = {
            "counts": Table(ARRAY, [1, 2, 3]),
            "queue": Table(QUEUE, [7]),
            "programs": Table(PROG_ARRAY, []),
        }

    def attach(self):
        self.steps.append("attach")
        if self.fails:
            raise AttachError("no place")

    def detach(self):
        self.steps.append("detach")

    def losses(self, _):
        return None

    def missed(self):
        return {"f": 1200} if "missed" in self.source.defines else {}

    def close(self):
        self.steps.append("close")


@pytest.fixture
def made(monkeypatch):
    engines = []

    def engine(source, core):
        engines.append(Engine(source))
        engines[-1].core = core
        return engines[-1]

    monkeypatch.setattr(module, "_engine", engine)
    return engines


def test_a_cell_from_start_to_end(made):
    cell = bpf("int x;", attach={"f": "uprobe:c:malloc", "g": ["perf:cpu-clock:9"]}, pid=7)
    assert (cell.state, cell.names, cell.tables) == ("ready", [], {})
    assert made == []
    with cell:
        (engine,) = made
        assert engine.source.attach == {"f": ["uprobe:c:malloc"], "g": ["perf:cpu-clock:9"]}
        assert engine.source.defines == {"WB_PID": 7}
        assert cell.state == "running"
        assert cell.names == ["counts", "queue", "programs"]
        assert cell["counts"]["value"].to_list() == [1, 2, 3]
        assert cell._repr_html_() == "<i>bpf running: no buffers, no tables</i>"
    assert engine.steps == ["attach", "detach", "close"]
    assert cell.names == ["counts", "queue"]
    assert cell["queue"]["value"].to_list() == [7]
    assert cell["counts"]["value"].to_list() == [1, 2, 3]
    assert cell.losses.is_empty()
    assert repr(cell) == "<bpf ended: counts 3, queue 1>"
    assert "<b>counts</b> (3 rows)" in cell._repr_html_()
    with pytest.raises(ParameterError, match="'other'") as caught:
        cell.arrow("other")
    assert caught.value.why == "it has counts, queue"
    with pytest.raises(ParameterError, match="has ended"):
        cell.start()


def test_runs_that_the_kernel_left_out(made):
    cell = bpf("int x;", defines={"missed": 1}, duration=0)
    assert cell.missed == {"f": 1200}
    assert "left out runs:</b> f 1,200" in cell._repr_html_()
    assert bpf("int x;", duration=0).missed == {}


def test_what_cannot_be_attached_is_unloaded(made, monkeypatch):
    monkeypatch.setattr(Engine, "fails", True)
    with pytest.raises(AttachError):
        bpf("int x;", duration=0)
    assert made[0].steps == ["attach", "close"]


def test_for_a_while(made):
    cell = bpf("int x;", duration=0.01, core=True, defines={"WB_PID": 3}, pid=5)
    assert cell.state == "ended"
    assert made[0].core
    assert made[0].source.defines == {"WB_PID": 3}
    assert cell.exit_code is None


def test_for_a_command(made, tmp_path):
    there = tmp_path / "there"
    cell = bpf("int x;", command=["sh", "-c", f"echo $$ > {there}; exit 3"])
    assert cell.exit_code == 3
    assert made[0].source.defines["WB_PID"] == int(there.read_text()) == made[0].source.pid


def test_a_command_that_takes_longer_is_ended(made):
    cell = bpf("int x;", command=["sleep", "1000"], duration=0.05)
    assert cell.state == "ended"
    assert cell.exit_code is None


def test_a_command_that_is_not_there(made):
    with pytest.raises(TargetError):
        bpf("int x;", command=["/no/such/program"])
    assert made == []


def test_an_interrupt_ends_it_and_keeps_what_came(made):
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    timer.start()
    cell = bpf("int x;", duration=100)
    timer.join()
    assert cell.state == "ended"
    assert cell["counts"].height == 3
