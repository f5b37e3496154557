"""One stack of native and Python frames.

Where the native stack runs the interpreter's loop, ``_PyEval_EvalFrameDefault``, the Python frames
take its place. One run of that function evaluates a chain of Python frames: those up to the next
one that was entered from C.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

NATIVE, EVALUATION, HELPER = 0, 1, 2
"""Classes of native frames: others; one that stands for a run of the interpreter's loop; one that
belongs to the interpreter's loop beside it (trampolines, handlers of single instructions)."""

_EVALUATION = re.compile(r"_PyEval_EvalFrameDefault(\.(cold|part|constprop|isra|lto_priv)\S*)?$")
_HELPER = re.compile(r"py::|_TAIL_CALL_|py_trampoline_evaluator$")


def native_class(function: str) -> int:
    """Return the class of a native frame.

    Parameters
    ----------
    function : str
        Its name. ``py::`` begins those of ``-X perf`` (Python/perf_trampoline.c), ``_TAIL_CALL_``
        those of interpreters built with tail calls (3.14, Python/ceval_macros.h).
    """
    if _EVALUATION.match(function):
        return EVALUATION
    return HELPER if _HELPER.match(function) else NATIVE


def merge(
    native_ids: ArrayLike,
    native_depths: ArrayLike,
    is_eval: ArrayLike,
    python_ids: ArrayLike,
    python_depths: ArrayLike,
    is_entry: ArrayLike,
    complete: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge the native and the Python frames of many stacks.

    Runs are matched from the root: the interpreter may be about to enter a frame, so that at the
    leaf there is a run without frames. Stacks whose root is missing, on either side, are matched
    from the leaf.
    No Python frame is lost: those that no run is left for go to the root or, where the native
    stack is complete, to the leaf-most run.

    Parameters
    ----------
    native_ids, is_eval : array_like of int, shape (sum(native_depths),)
        Frames of all stacks one after the other, leaf first, and their classes
        (:func:`native_class`; booleans will do).
    native_depths, python_depths : array_like of int, shape (stacks,)
        Frames of each stack.
    python_ids, is_entry : array_like of int and bool, shape (sum(python_depths),)
        Python frames; negative numbers are hidden ones, which count as entries only. A hidden one
        that is no entry ends a chain early: its root is missing.
    complete : array_like of bool, shape (stacks,), optional
        Whether the native stack reaches its root. By default it does.

    Returns
    -------
    ids : numpy.ndarray of int64
        Frames of the merged stacks.
    depths : numpy.ndarray of int64, shape (stacks,)
    """
    native, python = np.asarray(native_ids, np.int64), np.asarray(python_ids, np.int64)
    classes = np.asarray(is_eval).astype(np.int64)
    native_rows = _rows(native_depths)
    python_rows = _rows(python_depths)
    stacks = len(np.asarray(native_depths))

    place = np.flatnonzero(classes == EVALUATION)
    runs_native = np.bincount(native_rows[place], minlength=stacks)
    entries = np.asarray(is_entry, np.bool_)
    run, runs_python = _runs(python_rows, entries, stacks)
    has_root = np.ones(stacks, np.bool_) if complete is None else np.array(complete, np.bool_)
    ends_early = (python < 0) & ~entries
    has_root[python_rows[ends_early]] = False
    # From the root, run k of Python is native run k + (native - python); from the leaf, k.
    target = run + np.where(has_root, runs_native - runs_python, 0)[python_rows]
    limit = runs_native[python_rows]
    beyond = (limit == 0) | (target >= limit)
    first = np.cumsum(runs_native) - runs_native
    index = np.where(beyond, 0, first[python_rows] + np.maximum(target, 0))

    # Sort by anchors: a native frame's is its number doubled, and Python frames take that of the
    # run they replace, or follow the last frame of the stack.
    anchor = np.append(place, 0)[index] * 2
    ends = np.cumsum(np.asarray(native_depths, np.int64))
    anchor = np.where(beyond, ends[python_rows] * 2 - 1, anchor)
    replaced = np.zeros(len(native) + 1, np.bool_)
    replaced[place[index[~beyond & ~ends_early]] if len(place) else []] = True
    keep = ~_with_helpers(replaced[:-1], classes, native_rows)
    shown = python >= 0
    keys = np.concatenate([np.flatnonzero(keep) * 2, anchor[shown]])
    rows = np.concatenate([native_rows[keep], python_rows[shown]])
    # Stacks without native frames share anchors with their neighbours: rows go first.
    order = np.lexsort((keys, rows))
    ids = np.concatenate([native[keep], python[shown]])[order]
    return ids, np.bincount(rows, minlength=stacks)


def _rows(depths: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(depths, np.int64)
    return np.repeat(np.arange(len(counts)), counts)


def _runs(
    rows: NDArray[np.int64], entries: NDArray[np.bool_], stacks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the run of each Python frame within its stack, and the runs of each stack."""
    before: NDArray[np.int64] = np.cumsum(entries) - entries
    counts = np.bincount(rows, minlength=stacks)
    start = np.cumsum(counts) - counts
    base = np.append(before, 0)[np.minimum(start, len(before))]
    run = before - base[rows]
    last = np.full(stacks, -1, np.int64)
    if len(rows):
        filled = counts > 0
        last[filled] = run[(start + counts - 1)[filled]]
    return run, last + 1


def _with_helpers(
    replaced: NDArray[np.bool_], classes: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return what is replaced, with the helpers in a row with it."""
    if not len(replaced) or not (classes == HELPER).any():
        return replaced
    part = (classes == HELPER) | replaced
    breaks = np.append(True, (part[1:] != part[:-1]) | (rows[1:] != rows[:-1]))
    group = np.cumsum(breaks) - 1
    hit = np.zeros(group[-1] + 1, np.bool_)
    hit[group[replaced]] = True
    return np.asarray(part & hit[group])
