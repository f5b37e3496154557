"""What a kind declares is what it accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParameterError
from workbench.kinds import Aggregation, CaptureKind, Parameter

HZ = Parameter("hz", 99, "rate", low=1, high=1000)
FLAG = Parameter("flag", True, "yes or no")
NAMES = Parameter("names", (), "names")
SHARE = Parameter("share", 0.5, "part")
COUNTS = Aggregation("flag", "counts", "key", "value", "some_agg", "n")
KIND = CaptureKind(
    "some", "What?", "nothing", ("here",), (HZ, FLAG, NAMES, SHARE), aggregation=COUNTS
)
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.text()),
)


@given(st.integers())
def test_bounds_are_inclusive(value):
    if 1 <= value <= 1000:
        assert HZ.check(value) == value
    else:
        with pytest.raises(ParameterError, match="hz must be 1 to 1000"):
            HZ.check(value)


@given(st.sampled_from(KIND.parameters), ANY)
def test_a_value_is_of_the_type_of_the_default_or_refused(parameter, value):
    try:
        checked = parameter.check(value)
    except ParameterError:
        return
    assert type(checked) is type(parameter.default)
    assert checked == value or checked == tuple(value) or checked == (value,)


@pytest.mark.parametrize("value", ["read", ["read"], ("read",)])
def test_names_are_a_tuple(value):
    assert NAMES.check(value) == ("read",)


def test_without_bounds_any_number_will_do():
    assert Parameter("n", 0, "number").check(-(10**30)) == -(10**30)
    with pytest.raises(ParameterError):
        Parameter("n", 0, "number", high=5).check(6)


def test_what_is_no_number_is_refused():
    with pytest.raises(ParameterError, match="x must be a number"):
        Parameter("x", 0.5, "part").check(float("nan"))


def test_check_fills_in_and_refuses_the_unknown():
    assert KIND.check({"hz": 7}) == {"hz": 7, "flag": True, "names": (), "share": 0.5}
    with pytest.raises(ParameterError, match="no parameter rate, zoom") as caught:
        KIND.check({"zoom": 1, "hz": 7, "rate": 2})
    assert "hz" in caught.value.why
    with pytest.raises(ParameterError) as caught:
        CaptureKind("bare", "?", "", ()).check({"hz": 1})
    assert "none" in caught.value.why


def test_names_that_follow_from_its_name():
    assert KIND.event == "some_event"
    assert KIND.table({"flag": True}) == "some_agg"
    assert KIND.table({"flag": False}) == KIND.table({}) == "some"
    bare = CaptureKind("bare", "?", "", ())
    assert bare.table({"flag": True}) == "bare"
    assert bare.settings({}, "x86_64") == {}
