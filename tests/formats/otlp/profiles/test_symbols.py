"""Stacks as locations with inlined lines."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from otlp_sessions import synthetic
from synthetic import FRAMES, STACKS

from workbench.formats.otlp.profiles.symbols import Symbols, _order_hashes, spread


def resolved(symbols, number):
    """Names of functions by location, leaf first."""
    texts = symbols.texts.to_pylist()
    low, high = symbols.stack_ends[number : number + 2]
    found = []
    for location in symbols.stack_locations[low:high]:
        first, last = symbols.location_ends[location : location + 2]
        frames = symbols.location_frames[first:last]
        found.append([texts[symbols.function_name[symbols.function[f]]] for f in frames])
    return found


def test_every_stack(tmp_path):
    symbols = Symbols(synthetic(tmp_path, 10, kinds=("cpu",)), ("samples",))
    assert symbols.texts.to_pylist()[0] == ""
    assert symbols.texts.to_pylist()[symbols.text_of["samples"]] == "samples"
    assert len(set(symbols.texts.to_pylist())) == len(symbols.texts)
    for stack_id, frames in enumerate(STACKS):
        (number,) = symbols.stacks([stack_id])
        found = resolved(symbols, number)
        assert [name for lines in found for name in lines] == [FRAMES[f][0] for f in frames[::-1]]
    assert resolved(symbols, symbols.stacks([1])[0]) == [["helper", "compute"], ["main"]]
    assert symbols.stacks([-1, 99]).tolist() == [-1, -1]


def test_what_frames_tell(tmp_path):
    symbols = Symbols(synthetic(tmp_path, 10, kinds=("cpu",)))
    texts = symbols.texts.to_pylist()
    for place, (function, file, line, module, build_id, offset, kind) in enumerate(FRAMES):
        assert texts[symbols.function_name[symbols.function[place]]] == function
        assert texts[symbols.function_file[symbols.function[place]]] == (file or "")
        assert symbols.line[place] == (line or 0)
        assert symbols.address[place] == offset
        mapping = symbols.mapping[place]
        if kind == "python" or module in ("[anon]", "[unknown]"):
            assert mapping == -1
        else:
            assert texts[symbols.mapping_file[mapping]] == module
            assert symbols.mapping_build[mapping] == build_id


@given(st.lists(st.lists(st.integers(0, 3), max_size=5)))
def test_hashes_tell_lists_apart(lists):
    values = np.array([v for each in lists for v in each], np.int64)
    ends = np.concatenate([[0], np.cumsum([len(each) for each in lists])]).astype(np.int64)
    keys = _order_hashes(values, ends).tolist()
    for one, key in zip(lists, keys, strict=True):
        assert [each == one for each in lists] == [other == key for other in keys]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5))))
def test_spread(ranges):
    starts, sizes = (np.array([r[i] for r in ranges], np.int64) for i in (0, 1))
    assert spread(starts, sizes).tolist() == [a + n for a, size in ranges for n in range(size)]
