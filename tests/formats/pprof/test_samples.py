"""Values and labels as columns."""

from __future__ import annotations

import numpy as np
import profile_pb
import pyarrow as pa
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof import samples as module
from workbench.formats.pprof.parse import parse
from workbench.formats.pprof.samples import samples_of


def made(profile):
    parsed = parse(profile.SerializeToString())
    return samples_of(parsed, np.zeros(len(parsed.values), np.uint32))


def test_labels_are_columns():
    found = made(profile_pb.small())
    assert found.columns["thread"].to_pylist() == ["worker", None, None, None, None]
    assert found.columns["comm"] is found.columns["thread"]
    assert found.columns["pid"].to_pylist() == [42, None, None, None, None]
    assert found.columns["size"].to_pylist() == [4096, None, None, None, None]
    assert found.columns["tag"].to_pylist() == [["x", "y"], [], ["z"], [], []]
    assert found.units == {"size": "bytes"}
    assert found.facts["keys"] == {
        "thread": "thread", "pid": "pid", "size": "size", "tag": "tag", "comm": "",
    }  # fmt: skip
    assert (found.default, found.period_ns) == ("cpu", 10_000_000)
    assert found.facts["period"] == ["cpu", "nanoseconds", 10_000_000]


def labelled(*labels):
    """The small profile, of whose second sample these labels are: key, text, number, unit."""
    profile = profile_pb.small()
    table = profile.string_table
    for key, text, number, unit in labels:
        numbers = []
        for one in (key, text, unit):
            if one not in table:
                table.append(one)
            numbers.append(list(table).index(one))
        profile.sample[1].label.add(key=numbers[0], str=numbers[1], num=number, num_unit=numbers[2])
    return made(profile)


def test_labels_that_look_like_columns_of_every_session():
    found = labelled(
        ("pid", "text", 0, ""), ("tid", "", -1, ""), ("cpu", "", 3, ""), ("ts", "now", 0, ""),
        ("comm", "", 7, ""), ("size", "", 5, "kilobytes"), ("nothing", "", 0, ""),
    )  # fmt: skip
    assert found.columns["pid_label"][1].as_py() == "text"
    assert found.columns["tid_label"][1].as_py() == -1
    assert found.columns["cpu_label"][1].as_py() == 3
    assert found.columns["ts_label"][1].as_py() == "now"
    assert found.columns["comm_label"][1].as_py() == 7
    assert found.columns["size"][0].as_py() == 4096
    assert found.columns["size_2"][1].as_py() == 5
    assert found.units == {"size": "bytes", "size_2": "kilobytes"}
    assert found.facts["keys"]["size_2"] == "size"
    assert "nothing" not in found.columns


def test_the_name_of_the_command_is_taken_where_no_thread_is_named():
    profile = profile_pb.small()
    index = list(profile.string_table).index("thread")
    profile.string_table[index] = "comm"
    found = made(profile)
    assert found.columns["comm"].to_pylist()[0] == "worker"
    assert found.facts["keys"]["comm"] == ""
    assert found.facts["keys"]["comm_label"] == "comm"


def test_too_many_labels(monkeypatch):
    monkeypatch.setattr(module, "MAX_LABELS", 3)
    with pytest.raises(ImportFormatError, match="more than 3 kinds"):
        made(profile_pb.small())


def test_without_labels_or_period():
    profile = profile_pb.small()
    for sample in profile.sample:
        sample.ClearField("label")
    profile.ClearField("period")
    profile.ClearField("period_type")
    profile.default_sample_type = 0
    found = made(profile)
    assert found.columns == {}
    assert found.period_ns is None
    assert found.facts == {"default_type": "", "keys": {}}
    assert pa.array(found.values[1].amounts).to_pylist()[0] == 30_000_000
