"""Values as JSON against Python's own reader and writer of JSON."""

import base64 as base
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.otlp import wire
from workbench.formats.otlp.transcoding import json_values as values
from workbench.formats.otlp.transcoding.wire_varints import Irregular

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ALL_ESCAPES = "".join(map(chr, range(0x80))) + '\u2028é\U0001f600\\n\\"'


@pytest.fixture(params=[2, 256])
def probed(request, monkeypatch):
    """Columns that are long enough to be looked through for equal values, and others."""
    monkeypatch.setattr(values, "_PROBED", request.param)


def column(rows):
    return pa.array(rows, pa.binary())


def joined(parts):
    return wire.join(*parts).to_pylist()


@pytest.mark.usefixtures("probed")
def test_texts():
    @given(st.lists(TEXT))
    def check(texts):
        texts = [*texts, ALL_ESCAPES, "", "a", "a", "a", "a"]
        found = values.texts(column([text.encode() for text in texts])).to_pylist()
        assert [json.loads(b'"' + each + b'"') for each in found] == texts
        assert all(byte >= 0x20 for each in found for byte in each)

    check()


def test_texts_of_a_part_of_a_column():
    found = values.texts(column([b'"', b"a\n", b"\xff"]).slice(1, 1))
    assert found.to_pylist() == [b"a\\n"]


@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xc0\x80"])
def test_what_is_no_utf8(raw):
    with pytest.raises(Irregular):
        values.texts(column([b"a", raw]))


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize("quote", [b"", b'"'])
@pytest.mark.parametrize(("dtype", "low", "high"), [("i8", -(2**63), 2**63 - 1), ("u8", 0, 99)])
def test_decimals(dtype, low, high, quote):
    @given(st.lists(st.integers(low, high), min_size=1))
    def check(numbers):
        found = joined(values.decimals(np.array(numbers, dtype), quote))
        assert found == [quote + str(each).encode() + quote + b"," for each in numbers]

    check()


def test_small_numbers_are_all_known():
    numbers = np.arange(1 << 14)
    found = values.decimals(numbers)
    assert joined(found) == [b"%d," % number for number in numbers]


@given(st.lists(st.floats()))
def test_floats_come_back(numbers):
    numbers = [*numbers, -0.0, 5e-324, 1e22, 0.1]
    found = values.floats(np.array(numbers)).to_pylist()
    back = [float(json.loads(each)) for each in found]
    assert np.array(back).tobytes() == np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    words = {json.loads(each) for each in found if each.startswith(b'"')}
    assert words <= {"NaN", "Infinity", "-Infinity"}


def test_truths():
    assert values.truths(np.array([True, False])).to_pylist() == [b"true", b"false"]


@given(st.lists(st.binary(max_size=20)))
def test_bytes(rows):
    assert values.hexadecimal(column(rows)).to_pylist() == [row.hex().encode() for row in rows]
    assert values.base64(column(rows)).to_pylist() == [base.b64encode(row) for row in rows]
    if rows:
        assert values.hexadecimal(column(rows).slice(1)).to_pylist() == [
            row.hex().encode() for row in rows[1:]
        ]


@pytest.mark.usefixtures("probed")
def test_different_values():
    rows = [b"a", b"a", b"b", b"a", b"b"] * 200
    found, codes = values.different(column(rows))
    assert len(found) == 2
    assert found.take(codes).to_pylist() == rows
    apart = [b"%d" % number for number in range(1000)]
    found, codes = values.different(column(apart))
    assert found.to_pylist() == apart
    assert codes is None
