"""Native and Python frames of real samples: C functions lie between those that they call."""

from __future__ import annotations

from collections import Counter

import pytest
from pystacks_interpreters import interpreters

import workbench as wb

pytestmark = pytest.mark.kernel

PROGRAM = """
import functools, time

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def key(x):
    return fib(8) + x

def reduced(a, b):
    return sum(sorted(range(20), key=key))

class Thing:
    def __init__(self):
        self.value = functools.reduce(reduced, [1, 2, 3])

def generated():
    for _ in range(3):
        yield Thing()

def main():
    while time.process_time() < 1.5:  # of the CPU: as many samples on a busy machine
        list(generated())

main()
"""
FROM_C = {("key", "reduced"), ("reduced", "Thing.__init__"), ("generated", "main")}
FROM_PYTHON = {("fib", "fib"), ("fib", "key"), ("main", "<module>")}
COMMANDS = interpreters()


@pytest.mark.parametrize("python", COMMANDS)
def test_c_functions_lie_between_python_functions(python):
    session = wb.capture(["cpu"], command=[*COMMANDS[python], "-c", PROGRAM], hz=499)
    frames = {row["frame_id"]: row for row in session["frames"].arrow().to_pylist()}
    stacks = {
        row["stack_id"]: [frames[number] for number in row["frame_ids"]]
        for row in session["stacks"].arrow().to_pylist()
    }
    samples = session["cpu"].arrow().to_pylist()
    found = Counter()
    with_python = 0
    for sample in samples:
        stack = stacks[sample["stack_id"]]
        if sample["stack_status"] != "complete":
            continue  # the first ones come before the tables of a new file are made
        with_python += any(frame["function"] == "main" for frame in stack)
        found.update(gaps(stack))
    assert with_python > 100
    assert {pair for pair, _ in found} >= FROM_C | FROM_PYTHON
    odd = sum(n for (pair, native), n in found.items() if pair in FROM_C and not native)
    odd += sum(n for (pair, native), n in found.items() if pair in FROM_PYTHON and native)
    assert odd <= 1 + with_python * 0.005  # a sample that hits the entry of the interpreter's loop
    file_lines = {(f["function"], f["line"]) for f in frames.values() if f["kind"] == "python"}
    assert {("key", 8), ("main", 23), ("<module>", 25)} <= file_lines


def gaps(stack):
    """Return pairs of Python functions that follow each other, and whether C lies between."""
    found, last, native = [], None, 0
    for frame in stack:
        if frame["kind"] == "python":
            found.append(((last, frame["function"]), native > 0))
            last, native = frame["function"], 0
        else:
            native += 1
    return found
