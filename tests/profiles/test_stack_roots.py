"""Processes and threads at the root of folded stacks."""

from __future__ import annotations

import re

import polars as pl
import pytest

from workbench.profiles.stack_roots import PY_SPY_ROOT, without_roots

JOB = 'process 7:"/usr/bin/python3 job.py"'
CASES = {
    f"{JOB};thread (9): pool;f (a.py:3)": (7, 9, "pool", "f (a.py:3)"),
    # of a child, its own parent first; commands may hold anything
    f'{JOB};process 8:"sh -c "a; b"; x";thread (8): MainThread;g (b.py)': (
        8, 8, "MainThread", "g (b.py)"
    ),
    f"{JOB};thread (9);f (a.py:4)": (7, 9, "pool", "f (a.py:4)"),  # the name was known before
    f"{JOB};thread (12);f (a.py:4)": (7, 12, "thread 12", "f (a.py:4)"),
    f"{JOB};thread (0x7F12AB): a (1);b;d;f (a.py:3)": (7, None, "a (1);b;d", "f (a.py:3)"),
    f"{JOB};f (a.py:3)": (7, None, "python3", "f (a.py:3)"),
    f"{JOB};thread (13): idle": (7, 13, "idle", ""),
    "f (a.py:3)": (None, None, None, "f (a.py:3)"),
    'process 99999999999:"x";f (a.py:3)': (None, None, None, 'process 99999999999:"x";f (a.py:3)'),
}  # fmt: skip


def test_roots_of_py_spy():
    rest, columns = without_roots(pl.Series("stack", list(CASES)))
    assert list(columns) == ["pid", "tid", "comm"]
    found = zip(*(columns[name].to_pylist() for name in columns), rest, strict=True)
    assert dict(zip(CASES, found, strict=True)) == CASES


@pytest.mark.parametrize(
    ("texts", "known"),
    [
        (["thread (5): a;f (a.py:3)"], {"tid": [5], "comm": ["a"]}),
        (['process 5:"";f (a.py:3)'], {"pid": [5]}),
        (["thread (0xff): a;f (a.py:3)"], {"comm": ["a"]}),
        (["my-app-12/15;main;f_[k]", "x-1/2"],
         {"pid": [12, 1], "tid": [15, 2], "comm": ["my-app", "x"]}),
    ],
)  # fmt: skip
def test_what_is_known(texts, known):
    assert {k: v.to_pylist() for k, v in without_roots(pl.Series(texts))[1].items()} == known


@pytest.mark.parametrize(
    "texts",
    [
        ["my-app-12/15;main", "my-app;main"],  # not each
        ["pool-1;main"],  # a name of a thread as likely
        ["thread;(5): a", "process 5;x", ""],
    ],
)
def test_other_stacks_stay(texts):
    given = pl.Series("stack", texts)
    rest, columns = without_roots(given)
    assert rest.equals(given)
    assert columns == {}


def test_frames_of_speedscope():
    roots = [JOB, "thread (5)", "thread (0x7F): a (b)"]
    assert all(re.match(PY_SPY_ROOT, root) for root in roots)
    assert not any(re.match(PY_SPY_ROOT, name) for name in ("thread_run", "process", "thread (x)"))
