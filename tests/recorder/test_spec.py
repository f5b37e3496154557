"""What the client asks for arrives at the recorder as it was meant, or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParameterError, UnknownKindError
from workbench.recorder.spec import MAX_RING, MIN_RING, Spec, Target

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=7)
TARGETS = st.builds(
    Target,
    pid=st.none() | st.integers(1, 1 << 22),
    held=st.booleans(),
    cgroup=st.none() | TEXT,
    comm=st.none() | TEXT.filter(lambda t: len(t.encode()) <= 15),
    follow=st.booleans(),
    command=st.lists(TEXT).map(tuple),
)


@given(
    TARGETS,
    st.none() | st.floats(0.001, 1e6),
    st.none() | st.integers(12, 30).map(lambda n: 1 << n),
    st.sampled_from(["auto", "ring", "perf"]),
    st.sampled_from(["sampled", "always", "off"]),
    st.booleans(),
)
def test_json_and_back(target, duration, ring_bytes, transport, overhead, pack):
    kinds = {"cpu": {"hz": 5}, "syscalls": {"syscalls": ("read", "write")}}
    spec = Spec(kinds, "/tmp/x.wb", target, duration, ring_bytes, transport, overhead, pack)
    text = spec.checked().to_json()
    assert "\n" not in text
    assert Spec.from_json(text) == spec.checked() == spec.checked().checked()


def test_defaults_of_the_kinds_are_filled_in():
    spec = Spec({"cpu": {}, "syscalls": {"aggregate": True}}, "x").checked()
    stacks = dict.fromkeys(("kernel_stacks", "user_stacks", "python_stacks"), True)
    assert spec.kinds["cpu"] == {"hz": 99} | stacks
    assert spec.kinds["syscalls"] == {"syscalls": (), "aggregate": True, "stacks": False}


@pytest.mark.parametrize(
    "changes",
    [
        {"kinds": {}},
        {"kinds": {"cpu": {"hz": 0}}},
        {"duration": 0},
        {"duration": 1e7},
        {"duration": True},
        {"duration": "1"},
        {"ring_bytes": MIN_RING // 2},
        {"ring_bytes": MAX_RING * 2},
        {"ring_bytes": MIN_RING + 1},
        {"ring_bytes": True},
        {"transport": "RING"},
        {"overhead": ""},
        {"target": Target(comm="")},
        {"target": Target(comm="x" * 16)},
        {"target": Target(comm=7)},
        {"target": Target(cgroup=7)},
    ],
)
def test_what_makes_no_sense(changes):
    with pytest.raises(ParameterError) as caught:
        Spec(**{"kinds": {"cpu": {}}, "output": "x"} | changes).checked()
    assert (
        next(iter(changes)).removesuffix("s") in str(caught.value)
        or "target" in changes
        or ("hz" in str(caught.value))
    )


def test_unknown_kinds_are_refused_on_both_sides():
    with pytest.raises(UnknownKindError):
        Spec({"nothing": {}}, "x").checked()
    data = json.loads(Spec({"cpu": {}}, "x").to_json())
    with pytest.raises(UnknownKindError):
        Spec.from_json(json.dumps(data | {"kinds": {"nothing": {}}}))


@pytest.mark.parametrize("size", [MIN_RING, MAX_RING])
def test_bounds_of_the_ring_are_inclusive(size):
    assert Spec({"cpu": {}}, "x", ring_bytes=size).checked().ring_bytes == size


def test_a_target_tells_only_what_was_asked():
    assert Target().describe() == {"follow": True}
    whole = Target(pid=7, held=True, cgroup="/a", comm="dd", follow=False, command=("dd", "x y"))
    assert whole.describe() == {
        "pid": 7,
        "held": True,
        "cgroup": "/a",
        "comm": "dd",
        "command": ["dd", "x y"],
    }
