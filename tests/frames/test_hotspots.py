from collections import Counter

import polars as pl
import pytest
from fake_recording import FakeRecording, stacks_of
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import MissingTableError, ParameterError
from workbench.frames.hotspots import hotspots

FRAMES = st.tuples(
    st.sampled_from(["main", "f", "g"]),
    st.sampled_from(["/bin/x", "/lib/y"]),
    st.sampled_from(["native", "python", "kernel"]),
)
SAMPLES = st.lists(
    st.tuples(st.just("x"), st.lists(FRAMES, max_size=6), st.integers(1, 1000)), max_size=20
)


@given(SAMPLES)
@settings(deadline=None, max_examples=60)
def test_self_and_total_equal_plain_reference(samples):
    own, total = Counter(), Counter()
    for _, frames, weight in samples:
        if not frames:
            continue
        own[frames[-1]] += weight  # root first
        for frame in set(frames):
            total[frame] += weight
    found = hotspots(stacks_of(samples))
    told = {(r["name"], r["module"], r["kind"]): r for r in found.iter_rows(named=True)}
    assert {key: r["total"] for key, r in told.items()} == dict(total)
    assert {key: r["self"] for key, r in told.items() if r["self"]} == dict(own)
    assert found["self"].is_sorted(descending=True)
    if own:
        assert found["self_share"].sum() == pytest.approx(1)
        assert found["total_share"].max() <= 1


def lines():
    frames = [
        {"frame_id": 1, "function": "f", "module": "/m", "file": "a.py", "line": 3},
        {"frame_id": 2, "function": "f", "module": "/m", "file": "a.py", "line": 4},
        {"frame_id": 3, "function": "c", "module": "/c", "file": None, "line": None},
    ]
    return FakeRecording(
        frames=[frame | {"kind": "native"} for frame in frames],
        stacks=[
            {"stack_id": 1, "frame_ids": [1, 2, 2]},
            {"stack_id": 2, "frame_ids": [2]},
            {"stack_id": 3, "frame_ids": [3, 1]},
        ],
        cpu=[{"stack_id": 1 + i % 3, "weight": 10 ** (i % 3)} for i in range(3)],
    )


def test_lines_of_one_function():
    found = hotspots(lines(), by="line").select("name", "file", "line", "self", "total")
    assert found.rows() == [
        ("c", None, None, 100, 100),
        ("f", "a.py", 4, 10, 11),
        ("f", "a.py", 3, 1, 101),
    ]
    by_function = hotspots(lines()).filter(pl.col("name") == "f")
    assert by_function.select("self", "total").rows() == [(11, 111)]


def test_python_lines_have_the_time_of_what_they_call():
    samples = [
        ("x", [("main", "m.py", "python"), ("loads", "", "native"), ("malloc", "", "native")], 3),
        ("x", [("main", "m.py", "python"), ("f", "m.py", "python"), ("add", "", "native")], 4),
        ("x", [("start", "", "native")], 1),
    ]
    found = hotspots(stacks_of(samples), frames=["python"])
    assert found.select("name", "self", "total", "total_share").rows() == [
        ("f", 4, 4, 0.5),
        ("main", 3, 7, 0.875),
    ]


def test_what_cannot_be_told():
    with pytest.raises(ParameterError, match="perl"):
        hotspots(lines(), frames=["perl"])
    with pytest.raises(ParameterError, match="moon"):
        hotspots(lines(), by="moon")
    with pytest.raises(MissingTableError, match="cpu"):
        hotspots(FakeRecording(syscalls=[]))
    assert hotspots(stacks_of([])).is_empty()
