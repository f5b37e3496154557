from __future__ import annotations

import pytest

from workbench.store import checks


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.integer(0, 5), [0, 5], [-1, 6, True, 1.0, "1", None]),
        (checks.number, [0, -1.5], [float("nan"), float("inf"), 10**400, True, "1"]),
        (checks.text(3), ["", "abc", "äöü"], ["abcd", b"a", None, "\udfff"]),
        (checks.name, ["cpu", "a_1"], ["", "Cpu", "a/b", "../a", "a.b", 1, "a" * 64, "a\n", "é"]),
        (checks.optional(checks.name), [None, "a"], [0]),
        (checks.array(checks.name, limit=2), [[], ["a", "b"]], [["a", "b", "c"], "ab", {}, [1]]),
        (checks.table_of(checks.name), [{}, {"a": "b"}], [[], {"A": "b"}, {"a": 1}]),
        (checks.record({"a": checks.name}), [{"a": "b"}], [{}, {"a": 1}, []]),
        (checks.mapping, [{"A b": [1, {"c": None}]}], [[], {"a": 1 << 64}, {"a": 1e999}]),
    ],
)
def test_checks(check, good, bad):
    for value in good:
        result = check(value, "here")
        assert result == (tuple(value) if isinstance(value, list) else value)
    for value in bad:
        with pytest.raises(ValueError, match="here"):
            check(value, "here")


def test_record_leaves_unknown_keys_out():
    assert checks.record({}, {"a": checks.name})({"a": "x", "b": 1}, "here") == {"a": "x"}
