"""The tree of errors: as drawn, as told, and as every part of the workbench raises it."""

import inspect
import pickle
import re

import pytest

from workbench import errors
from workbench.errors import LoadError, WorkbenchError


def drawn():
    """(depth, name) of each line of the tree in the docstring."""
    lines = re.findall(r"^    ((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\b", errors.__doc__, re.M)
    depths = [
        (len(indent) // 4 + ("── " in line), name)
        for (indent, name), line in zip(
            lines, re.findall(r"^    .*\w+Error\b", errors.__doc__, re.M), strict=True
        )
    ]
    parents, tree = {}, {}
    for depth, name in depths:
        parents[depth] = name
        tree[name] = parents[depth - 1] if depth else "Exception"
    return tree


def classes():
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }


def test_the_drawn_tree_is_the_tree():
    assert drawn() == {name: kind.__base__.__name__ for name, kind in classes().items()}


@pytest.mark.parametrize("kind", classes().values(), ids=classes())
def test_text_is_what_why_and_next(kind):
    error = kind("It failed.", why="errno 7", advice="Try again.")
    assert str(error) == "It failed.\nWhy: errno 7\nNext: Try again."
    assert str(kind("It failed.")) == "It failed."
    assert str(kind("It failed.", advice="Rest.")) == "It failed.\nNext: Rest."
    assert (error.what, error.why, error.advice) == ("It failed.", "errno 7", "Try again.")
    assert isinstance(error, WorkbenchError)
    assert kind.__doc__


def test_load_error_keeps_the_whole_log():
    error = LoadError("Refused.", why="the end", log="the beginning\nthe end")
    assert error.log == "the beginning\nthe end"
    assert "beginning" not in str(error)


def test_an_error_crosses_processes():
    error = pickle.loads(pickle.dumps(WorkbenchError("It failed.")))
    assert error.what == "It failed."
