from __future__ import annotations

import numpy as np
import pytest
import synthetic

from workbench.errors import MissingTableError
from workbench.frames.rates import rates
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("rates") / "a.wb"
    return Recording.open(synthetic.make_session(path, rows=700))


@pytest.mark.parametrize("slices", [1, 10, 500])
def test_slices_hold_all_events(rec, slices):
    times, values = rates(rec, "cpu", slices)
    width = synthetic.DURATION // slices
    data = synthetic.truth(rows=700).columns["cpu"]
    slot = (data["ts"] - synthetic.START) // width
    expected = np.bincount(slot, data["weight"], minlength=slices) * 1e9 / width
    assert times.tolist() == [synthetic.START + width * i for i in range(slices)]
    assert values.tolist() == pytest.approx(expected.tolist())


def test_window_and_selection(rec):
    part = rec.window(2.0, 4.0).where(tid=1001)
    times, values = rates(part, "syscalls", 4)
    assert (times - synthetic.START).tolist() == [2e9, 2.5e9, 3e9, 3.5e9]
    assert values.sum() * 0.5 == part["syscalls"].num_rows
    assert len(rates(rec.window(1.0, 1.0001), "cpu")[0]) == 1  # 1 ms at least
    with pytest.raises(MissingTableError):
        rates(rec, "tcp")
