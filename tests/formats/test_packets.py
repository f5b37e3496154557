"""Templates, against protobuf's own reader."""

from __future__ import annotations

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from workbench.formats._packets import column, filled, floats, merged, message, number, text, width


def message_class():
    """Return a message: id (int64, 1), name (string, 2), inner (itself, 3), rate (double, 4)."""
    types = FieldDescriptorProto
    file = FileDescriptorProto(name="x.proto", package="x", syntax="proto3")
    one = file.message_type.add(name="M")
    one.field.add(name="id", number=1, type=types.TYPE_INT64, label=types.LABEL_OPTIONAL)
    one.field.add(name="name", number=2, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL)
    one.field.add(
        name="inner", number=3, type=types.TYPE_MESSAGE, type_name=".x.M",
        label=types.LABEL_REPEATED,
    )  # fmt: skip
    one.field.add(name="rate", number=40, type=types.TYPE_DOUBLE, label=types.LABEL_OPTIONAL)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("x.M"))


M = message_class()


def test_single_fields():
    data = number(1, -5) + text(2, "é" * 100) + text(3, number(1, 300))
    found = M.FromString(data)
    assert (found.id, found.name, found.inner[0].id) == (-5, "é" * 100, 300)


def test_columns():
    inner = [*column(1, "id", 10), *floats(40, "rate"), text(2, "x")]
    template = message(3, [*inner, *message(3, column(1, "small", 5))])
    ids = np.array([0, 1, 127, 128, -1, 2**63 - 1, -(2**63)])
    rates = np.linspace(-1e300, 1e300, len(ids))
    small = np.array([0, 1, 2**35 - 1, 5, 6, 7, 8])
    rows = filled(template, {"id": ids, "rate": rates, "small": small}, len(ids))
    assert rows.shape == (len(ids), width(template))
    found = M.FromString(rows.tobytes()).inner
    assert [one.id for one in found] == ids.tolist()
    assert [one.rate for one in found] == rates.tolist()
    assert [one.inner[0].id for one in found] == small.tolist()
    assert {one.name for one in found} == {"x"}


def test_templates_in_one_order():
    long = message(3, [*column(1, "id", 10), text(2, "long")])
    short = message(3, column(1, "id", 2))
    first = filled(long, {"id": np.array([0, 3])}, 2)
    second = filled(short, {"id": np.array([1, 2, 4])}, 3)
    parts = [(np.array([0, 3]), first), (np.array([1, 2, 4]), second)]
    found = M.FromString(merged(parts)).inner
    assert [one.id for one in found] == [0, 1, 2, 3, 4]
    assert [one.name for one in found] == ["long", "", "", "long", ""]
