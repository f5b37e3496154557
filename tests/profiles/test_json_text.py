"""JSON that takes much more memory than it has bytes, or is none."""

from __future__ import annotations

import json

import pytest

from workbench.errors import ImportFormatError
from workbench.profiles import json_text
from workbench.profiles.json_text import parsed


def test_what_it_says():
    said = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    assert parsed(json.dumps(said).encode()) == said
    assert parsed(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * 10**5, b'{"a":' * 10**5, b"9" * 5000, b'"\xff"']
)
def test_what_is_none(text):
    with pytest.raises(ImportFormatError, match="no JSON"):
        parsed(text)


@pytest.mark.parametrize("one", [b"[]", b"{}", b'{"a":1}', b'""', b"1.5"])
def test_many_objects_are_refused_before_they_are_made(one, monkeypatch):
    text = b"[" + b",".join([one] * 10**6) + b"]"
    monkeypatch.setattr(json_text, "MAX_MEMORY", 10**7)
    monkeypatch.setattr(json_text.json, "loads", lambda _text: pytest.fail("it was read"))
    with pytest.raises(ImportFormatError, match="more than 10,000,000 bytes"):
        parsed(text)
