"""What the other tests rely on: that the emulated processor computes right."""

import numpy as np


def test_sorting():
    """QEMU 7.2's gathers are wrong; see ENVIRONMENT in vm/machine.py."""
    numbers = np.random.default_rng(7).integers(0, 1 << 40, (40, 249)).astype(np.uint64)
    for row in numbers:
        order = row.argsort()
        assert sorted(order.tolist()) == list(range(len(row)))
        assert row[order].tolist() == sorted(row.tolist())
