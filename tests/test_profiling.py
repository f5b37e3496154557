"""Profiles of the calling process."""

import gc
import os
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

import workbench as wb
from workbench.errors import ParameterError, UnknownKindError, WorkbenchError
from workbench.frames.folded import folded
from workbench.profiling import Profile


def burn(seconds, clock=time.perf_counter):
    end = clock() + seconds
    while clock() < end:
        sum(range(1000))


def test_arguments_are_checked_before_anything_runs():
    assert isinstance(wb.profile(), Profile)
    assert wb.profile("offcpu", min_us=5).kinds == ("offcpu",)  # which has no clock
    assert wb.profile({"cpu": {"kernel_stacks": False}}, hz=99).kinds == ("cpu",)
    with pytest.raises(UnknownKindError):
        wb.profile("no_such")
    with pytest.raises(ParameterError, match="hz"):
        wb.profile(hz=0)
    not_run = wb.profile()
    assert "not ended" in repr(not_run)
    assert "not ended" in not_run._repr_html_()
    with pytest.raises(ParameterError, match="not ended"):
        not_run.session  # noqa: B018


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
class TestProfile:
    """In a real kernel."""

    def test_a_block(self):
        with wb.profile("cpu,offcpu") as p:
            used = time.process_time()
            burn(0.5)
            used = time.process_time() - used
            time.sleep(0.3)
        assert 0.7 < p.seconds < 10
        assert p.session["cpu"].polars().filter(pid=os.getpid()).height == p.session["cpu"].num_rows
        stacks = folded(p.session, "cpu", by=())
        mine = stacks.filter(pl.col("stack").str.contains(";burn"))["weight"].sum()
        assert mine / 999 == pytest.approx(used, rel=0.1)
        assert mine > 0.9 * stacks["weight"].sum()
        tree = p.flamegraph().tree
        root = int(tree.level_offsets[2])  # the widest one behind the thread's name
        assert tree.label(root) == "TestProfile.test_a_block"
        assert tree.width[root] > 0.9 * tree.total
        waits = p.flamegraph("offcpu")
        assert waits.tree.total / 1e9 == pytest.approx(p.seconds - used, abs=0.05)
        assert "offcpu" in waits.title
        assert p._repr_html_().count('class="wb-view"') == 2
        assert repr(p).startswith("<Profile of 0.")

    def test_threads_that_were_there_are_left_out_of_waits(self):
        stop = threading.Event()
        old = threading.Thread(target=lambda: stop.wait(60))
        old.start()
        with wb.profile("offcpu") as p:
            new = threading.Thread(target=time.sleep, args=(0.2,), name="new")
            new.start()
            stop.set()
            new.join()
        old.join()
        seen = set(p.session["offcpu"].polars()["tid"])
        assert len(seen) >= 2
        assert p.flamegraph(others=True).tree.total >= p.flamegraph().tree.total > 0.39e9

    def test_it_ends_with_an_exception(self):
        with pytest.raises(ZeroDivisionError), wb.profile() as p:
            burn(0.2, time.thread_time)  # however little of a busy machine it gets
            1 / 0  # noqa: B018
        assert p.session["cpu"].num_rows > 50
        assert p.stop()["cpu"].num_rows == p.session["cpu"].num_rows

    def test_files_go_with_it(self, tmp_path):
        with wb.profile() as p:
            pass
        path = Path(p.session.path)
        assert path.is_dir()
        del p
        gc.collect()
        assert not path.exists()
        with wb.profile(output=tmp_path / "p.wb") as p:
            pass
        del p
        gc.collect()
        assert wb.open(tmp_path / "p.wb").state == "complete"

    def test_a_start_that_fails_leaves_nothing(self, tmp_path, monkeypatch):
        p = wb.profile(output=tmp_path / "p.wb")
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(WorkbenchError):
            p.start()
        assert not (tmp_path / "p.wb").exists()
