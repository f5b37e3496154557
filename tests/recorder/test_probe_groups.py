"""Groups of own probes: words of the map's values to figures."""

import numpy as np
import pyarrow as pa
from planning import planned

from workbench.probing.plan import HIST_SLOTS
from workbench.recorder.probe_groups import decoded

FIGURES = ["sum(a)", "avg(a)", "min(a)", "max(a)", "hist(b)", "min(b)", "max(b)", "avg(latency)"]
MADE = planned(by="c", aggregate=FIGURES)
AT = {figure.name: figure for figure in MADE.figures}


def value(per_cpu):
    """The words that the program would leave: of each CPU's numbers (a, b, latency)."""
    words = np.zeros((1, len(per_cpu), MADE.value_words), np.uint64)
    sign = 1 << 63
    for cpu, rows in enumerate(per_cpu):
        for a, b, latency in rows:
            row = words[0, cpu]
            row[0] += np.uint64(1)
            for name, number in (("sum_a", a), ("avg_a", a), ("avg_latency", latency)):
                total = (int(row[AT[name].slot]) + number) % 2**64
                row[AT[name].slot] = np.uint64(total)
            for name, ranked in (
                *(("max_a", (a % 2**64) ^ sign), ("min_a", ~((a % 2**64) ^ sign) % 2**64)),
                *(("max_b", b), ("min_b", ~b % 2**64)),
            ):
                slot = AT[name].slot
                row[slot] = np.uint64(max(int(row[slot]), ranked))
            row[AT["hist_b"].slot + max(b, 1).bit_length() - 1] += np.uint64(1)
    return words


def test_figures_over_all_cpus():
    words = value([[(-5, 8, 1000)], [(3, 2**63, 3000), (-100, 1, 2000)]])
    count = words[:, :, 0].sum(axis=1)
    found = {name: decoded(figure, words, count) for name, figure in AT.items()}
    assert np.asarray(found["sum_a"]).view(np.int64).tolist() == [-102]
    assert found["avg_a"].to_pylist() == [-34.0]
    assert found["min_a"].to_pylist() == [-100]
    assert found["max_a"].to_pylist() == [3]
    assert found["min_b"].to_pylist() == [1]
    assert found["max_b"].to_pylist() == [2**63]
    assert found["avg_latency"].type == pa.duration("ns")
    assert found["avg_latency"].cast(pa.int64()).to_pylist() == [2000]
    slots = np.flatnonzero(found["hist_b"][0]).tolist()
    assert slots == [0, 3, 63]
    assert found["hist_b"].shape == (1, HIST_SLOTS)


def test_groups_without_a_readable_event_have_no_figures():
    words = value([[]])
    none = np.zeros(1, np.uint64)
    for name in ("avg_a", "min_a", "max_a", "avg_latency"):
        assert decoded(AT[name], words, none).null_count == 1
