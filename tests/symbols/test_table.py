import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.symbols.table import MAX_NESTING, SymbolTable, one_per_start


def table(*entries):
    """Return the table of (start, end, name), sorted by start."""
    starts, ends, names = zip(*entries, strict=True)
    blob = "".join(names).encode()
    name_ends = np.cumsum([len(name) for name in names])
    name_starts = name_ends - [len(name) for name in names]
    return SymbolTable(
        np.array(starts, np.uint64), np.array(ends, np.uint64), name_starts, name_ends, blob
    )


def names_at(symbols, *addresses):
    index = symbols.lookup(np.array(addresses, np.uint64)).tolist()
    return [symbols.name(each) if each >= 0 else None for each in index]


def test_lookup_respects_ends():
    symbols = table((10, 20, "a"), (30, 40, "bc"))
    assert names_at(symbols, 9, 10, 19, 20, 29, 30, 39, 40) == [
        *(None, "a", "a", None, None, "bc", "bc", None)
    ]


def test_lookup_finds_the_range_around_smaller_ones():
    symbols = table((0, 100, "outer"), (10, 20, "one"), (30, 50, "two"), (35, 40, "inner"))
    assert names_at(symbols, 5, 15, 25, 32, 37, 45, 60, 100) == [
        *("outer", "one", "outer", "two", "inner", "two", "outer", None)
    ]


def test_lookup_gives_up_on_absurd_nesting():
    many = [(at, at + 1, "x") for at in range(1, 3 * MAX_NESTING, 2)]
    symbols = table((0, 1000, "outer"), *many)
    assert names_at(symbols, 2, 900) == ["outer", None]


def test_an_empty_table_knows_nothing():
    assert names_at(SymbolTable.empty(), 0, 2**64 - 1) == [None, None]
    assert len(SymbolTable.empty()) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 30)),
        min_size=1,
        max_size=20,
        unique_by=lambda x: x[0],
    ),
    st.lists(st.integers(0, 100), min_size=1),
)
def test_lookup_is_the_innermost_by_start(ranges, addresses):
    entries = [(start, start + size, str(start)) for start, size in sorted(ranges)]
    expected = []
    for address in addresses:
        around = [name for start, end, name in entries if start <= address < end]
        expected.append(around[-1] if around else None)
    assert names_at(table(*entries), *addresses) == expected


def test_addresses_at_the_top():
    symbols = table((2**63, 2**64 - 1, "top"))
    assert names_at(symbols, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1) == [None, "top", "top", None]


def test_names_that_are_not_text():
    symbols = SymbolTable(
        np.zeros(1, np.uint64), np.ones(1, np.uint64), np.array([0]), np.array([2]), b"\xffa"
    )
    assert symbols.name(0) == "�a"
    assert symbols.raw_name(0) == b"\xffa"


def choose(*symbols):
    starts, ranks, names = zip(*symbols, strict=True)
    blob = "".join(names).encode()
    ends = np.cumsum([len(name) for name in names])
    begins = ends - [len(name) for name in names]
    chosen = one_per_start(np.array(starts, np.uint64), np.array(ranks), begins, ends, blob)
    return [names[index] for index in chosen.tolist()]


def test_aliases_by_rank_then_length_then_letters():
    assert choose((1, 1, "a"), (1, 0, "long"), (0, 5, "z")) == ["z", "long"]
    assert choose((1, 0, "abc"), (1, 0, "zz"), (1, 0, "ab")) == ["ab"]
    assert choose((1, 0, "ab"), (1, 0, "zz"), (1, 0, "abc")) == ["ab"]


@given(st.permutations([(7, 0, "ab"), (7, 0, "aa"), (7, 0, "b9"), (7, 1, "a"), (3, 2, "q")]))
def test_the_choice_does_not_depend_on_the_order(symbols):
    assert choose(*symbols) == ["q", "aa"]


def test_nothing_to_choose_from():
    none = np.zeros(0, np.int64)
    assert len(one_per_start(none.astype(np.uint64), none, none, none, b"")) == 0
