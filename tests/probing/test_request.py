"""Requests: names of columns, and what contradicts itself."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import own_probe
from workbench.probing.request import RESERVED, Request, column_name, texts
from workbench.schema import DERIVED
from workbench.store.columns import _EVENT_TYPES


def request_of(**given):
    return Request.of(own_probe("x").check({"probe": "uprobe:p:f", **given}))


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("arg0", "arg0"),
        ("args.file.f_inode.i_ino", "i_ino"),
        ("str(arg1)", "arg1"),
        ("str(args.path, 200)", "path"),
        ("i32(arg0)", "arg0"),
        ("names[2]", "names_2"),
        ("i32p(arg0)[1]", "arg0_1"),
        ("args.o.in", "in"),
        ("u64p(arg0 + 8)[0]", "arg0_0"),
    ],
)
def test_names_of_fields(expression, name):
    assert column_name(expression) == name
    assert request_of().named([expression])[0] == (column_name(expression), expression)


def test_columns_that_are_there_already():
    request = request_of()
    assert request.named(["pid", "comm", "args.pid", "ret"]) == [
        ("arg_pid", "args.pid"),
        ("arg_ret", "ret"),
    ]
    assert request_of(by=["pid", "comm"]).named(["pid", "comm"]) == [
        ("pid", "pid"),
        ("comm", "comm"),
    ]
    assert request.named(["latency=latency"]) == [("latency", "latency")]
    for bad in (["pid=arg0"], ["a=x", "a=y"], ["latency=arg0"]):
        with pytest.raises(ParameterError):
            request.named(bad)


def test_names_that_tables_give_a_type_are_reserved():
    taken = {*_EVENT_TYPES, *DERIVED}
    assert taken <= RESERVED


def test_groups():
    assert request_of(by="pid").aggregate
    found = request_of(aggregate=["count", "sum(x)"])
    assert (found.aggregate, found.figures) == (True, ("sum(x)",))
    for bad in ({"fields": "x"}, {"stacks": True}):
        with pytest.raises(ParameterError, match="Groups have no"):
            request_of(aggregate="count", **bad)


def test_all_fields():
    assert request_of().fields is None
    assert request_of(fields="*").fields is None
    assert request_of(fields="x").fields == ("x",)


def test_texts():
    assert texts(None, "fields") == ()
    assert texts("x", "fields") == ("x",)
    assert texts(["x", "y"], "fields") == ("x", "y")
    assert texts({"a": "x"}, "fields") == ("a=x",)
    for bad in (1, [1], {"a": 1}.values()):
        with pytest.raises(ParameterError, match="fields cannot be"):
            texts(bad, "fields")
