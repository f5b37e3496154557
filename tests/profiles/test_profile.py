from __future__ import annotations

import numpy as np

from workbench.profiles.profile import Samples, Value


def test_samples_have_a_length():
    value = Value("cpu", "ns", np.array([1, 2], np.int64))
    assert len(Samples(np.array([0, 0], np.uint32), (value,))) == 2
