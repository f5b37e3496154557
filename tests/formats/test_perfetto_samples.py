from __future__ import annotations

import numpy as np
import pytest

from workbench.formats import _perfetto_samples


def test_heavy_rows_are_written_in_parts():
    columns = {"ts": np.arange(6), "stack": np.arange(6) * 10}
    weights = np.array([3, 0, 1000, 1, 2, 0], np.uint32)
    for rows in (1, 3, 1 << 14):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_perfetto_samples, "_ROWS", rows)
            parts = list(_perfetto_samples._repeated(columns, weights))
        assert max(len(part["ts"]) for part in parts) <= max(rows, 1000) + 3
        for name, values in columns.items():
            found = np.concatenate([part[name] for part in parts])
            assert found.tolist() == np.repeat(values, weights).tolist()
    assert len(parts) == 1
