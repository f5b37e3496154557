"""Line tables decoded: equal to co_lines() for all code of the standard library's modules."""

import ast
import importlib.util
import random
from types import CodeType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pystacks_interpreters import Workload, interpreters

from workbench.pystacks.lines import NO_LINE, decode_lines

MODULES = ("argparse", "ast", "asyncio.base_events", "dataclasses", "_pydecimal", "typing", "re")


def all_code(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from all_code(constant)


def by_offset(code):
    found = np.full(len(code.co_code), -7, np.int64)
    for start, end, line in code.co_lines():
        found[start:end] = NO_LINE if line is None else line
    return found


def codes_of(text, file="x.py"):
    return all_code(compile(text, file, "exec"))


@pytest.mark.parametrize("module", MODULES)
def test_lines_equal_those_of_the_interpreter(module):
    spec = importlib.util.find_spec(module)
    count = 0
    for code in codes_of(spec.loader.get_data(spec.origin)):
        table = decode_lines(code.co_linetable, code.co_firstlineno)
        offsets = np.arange(len(code.co_code))
        assert (table.at(offsets) == by_offset(code)).all()
        assert table.end == len(code.co_code)
        count += len(offsets)
    assert count > 1000


@pytest.mark.parametrize("python", interpreters())
def test_lines_equal_those_of_other_versions(python):
    workload = Workload(interpreters()[python])
    told = workload.run("tables")
    workload.close()
    assert len(told) > 300
    for _, ((table, first, expected),) in told:
        found = decode_lines(bytes.fromhex(table), first)
        for start, end, line in expected:
            lines = found.at(np.arange(start, end))
            assert (lines == (NO_LINE if line is None else line)).all()


def test_lines_far_apart_and_backwards():
    text = (
        "x = (\n" + "\n" * 70_000 + "f(\n\n1\n,\n2))\n" + "\n" * 40 + "for i in x:\n\n  y = (\n1\n)"
    )
    for code in codes_of(text):
        table = decode_lines(code.co_linetable, code.co_firstlineno)
        assert (table.at(np.arange(len(code.co_code))) == by_offset(code)).all()
    tree = ast.parse("a\nb\nc")
    for node, line in zip(tree.body, (9000, 3, 500), strict=True):
        for each in ast.walk(node):
            if hasattr(each, "lineno"):
                each.lineno = each.end_lineno = line
    code = compile(tree, "x.py", "exec")
    table = decode_lines(code.co_linetable, code.co_firstlineno)
    assert (table.at(np.arange(len(code.co_code))) == by_offset(code)).all()
    assert {3, 500, 9000} <= set(table.lines.tolist())


def test_places_outside_of_the_code():
    code = compile("a\nb", "x.py", "exec").replace(co_firstlineno=20)
    table = decode_lines(code.co_linetable, 20)
    assert table.at(np.array([-2, table.end, 1 << 30])).tolist() == [20, NO_LINE, NO_LINE]
    assert decode_lines(b"", 7).at(np.array([-2, 0])).tolist() == [7, NO_LINE]


@given(st.binary(max_size=300), st.integers(-(1 << 31), (1 << 31) - 1))
def test_any_bytes_are_decoded(table, first):
    found = decode_lines(table, first)
    assert len(found.starts) == len(found.lines) == sum(byte > 127 for byte in table)
    assert (np.diff(found.starts) > 0).all()
    assert len(found.at(np.arange(-2, 50))) == 52


def test_damaged_tables():
    source = random.Random(5)
    code = compile("def f(a):\n  return a\n" * 50, "x.py", "exec")
    for _ in range(200):
        damaged = bytearray(code.co_linetable)
        for _ in range(5):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        decode_lines(bytes(damaged[: source.randrange(len(damaged) + 1)]), 1)
