"""Headers as the specification writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.headers import checked, parse

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126))


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        ("key1=value1,key2=value2", {"key1": "value1", "key2": "value2"}),
        (" Api-Key = abc , b=2,", {"api-key": "abc", "b": "2"}),
        ("authorization=Basic%20dTpw", {"authorization": "Basic dTpw"}),
        ("authorization=Basic dTpw==", {"authorization": "Basic dTpw=="}),
        ("list=a%2Cb%3Dc", {"list": "a,b=c"}),
        ("plus=a+b", {"plus": "a+b"}),  # it is no form of HTML
        ("k=v;with=metadata", {"k": "v;with=metadata"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_texts(text, headers):
    assert parse(text) == headers


@given(st.dictionaries(names, values))
def test_percent_encoding_is_undone(headers):
    text = ",".join(
        f"{name}={''.join(f'%{ord(c):02X}' for c in value)}" for name, value in headers.items()
    )
    assert parse(text) == headers


@pytest.mark.parametrize(
    "text", ["novalue", "a=1,b", "=1", "a b=1", "k=%0d%0aX-Evil: 1", "k=%00", "k=%C3%A9"]
)
def test_what_is_no_header_is_refused(text):
    with pytest.raises(DestinationError):
        parse(text)


def test_values_stay_secret():
    with pytest.raises(DestinationError) as caught:
        parse("ok=1,topsecret")
    assert "topsecret" not in str(caught.value)
    with pytest.raises(DestinationError) as caught:
        parse("api-key=topsecret%0a")
    assert "topsecret" not in str(caught.value)


def test_mappings_are_checked():
    assert checked({"X-Tenant": "7"}) == {"x-tenant": "7"}
    with pytest.raises(DestinationError):
        checked({"x": "a\nb"})
