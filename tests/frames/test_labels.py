import numpy as np
import polars as pl
from fake_recording import FakeRecording
from hypothesis import given
from hypothesis import strategies as st

from workbench.frames import labels
from workbench.frames.labels import KINDS, group_texts, make_labels, named_frames, position


def frame(number, function, kind, **more):
    return {"frame_id": number, "function": function, "kind": kind, "file": None, **more}


def test_the_last_row_of_a_frame_counts_and_python_frames_carry_their_file():
    rec = FakeRecording(
        frames=[
            frame(1, "[anon]", "unknown", module="[anon]"),
            frame(0, "", "strange", module="/lib/a.so"),
            frame(2, "main", "python", module="/usr/bin/python3", file="job.py"),
            frame(1, "compiled", "jit", module="[anon]"),
        ]
    )
    found = named_frames(rec)
    assert found["name"].to_list() == ["[unknown]", "compiled", "main"]
    assert found["module"].to_list() == ["/lib/a.so", "[anon]", "job.py"]
    assert [KINDS[k] for k in found["kind"]] == ["unknown", "jit", "python"]


def test_groups_are_called_by_their_column():
    assert group_texts(pl.Series("pid", [12])).to_list() == ["pid 12"]
    assert group_texts(pl.Series("comm", ["dd", "", None])).to_list() == [
        "dd", "[no name]", "[no name]",
    ]  # fmt: skip


def test_equal_names_become_one_label_and_other_modules_another():
    frames = pl.DataFrame(
        {"frame_id": [0, 1, 2], "name": ["f", "f", "f"], "module": ["a", "b", "a"],
         "kind": [1, 1, 1]},
        schema_overrides={"kind": pl.UInt8},
    )  # fmt: skip
    made, of_frame, (of_group,) = make_labels(frames, [pl.Series("comm", ["f", "g"])])
    numbers = of_frame(np.array([0, 1, 2, 77, -1]))
    assert numbers[0] == numbers[2] != numbers[1]
    assert [made.names[n] for n in numbers[3:]] == [labels.UNKNOWN, labels.NO_STACK]
    assert [made.names[n] for n in of_group] == ["f", "g"]
    assert of_group[0] not in numbers
    assert len(made) == len(set(zip(made.names, made.modules, made.kinds.tolist(), strict=True)))


@given(st.sets(st.integers(0, 400)), st.lists(st.integers(-1, 500)), st.booleans())
def test_position_equals_a_dictionary(ids, wanted, sparse):
    shift = 1 << 30 if sparse else 0
    known = sorted(n + shift for n in ids)
    asked = [n + shift for n in wanted]
    where = {n: i for i, n in enumerate(known)}
    got = position(np.array(known, np.int64), np.array(asked, np.int64))
    assert got.tolist() == [where.get(n, -1) for n in asked]
