from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SessionCorruptError, SessionVersionError
from workbench.store.manifest import MAX_BYTES, Manifest

GOOD = {
    "format": 1,
    "kinds": {"cpu": {"hz": 99, "comm": None}},
    "start_ns": 10**18,
    "state": "complete",
    "tables": {"cpu": {"rows": 3}},
    "losses": [{"kind": "cpu", "cpu": 0, "produced": 5, "delivered": 3, "dropped": {"full": 2}}],
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner)
)


def test_round_trip():
    manifest = Manifest.from_json(json.dumps(GOOD))
    assert manifest.rows("cpu") == 3
    assert manifest.rows("other") == 0
    assert manifest.kinds["cpu"] == {"hz": 99, "comm": None}
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_periods_in_which_probes_were_off():
    periods = [
        {"kind": "one", "from_ns": 5, "to_ns": 9},
        {"kind": "a", "from_ns": 7, "to_ns": None},
    ]
    manifest = Manifest.from_json(json.dumps(GOOD | {"switched_off": periods}))
    assert [dict(period) for period in manifest.switched_off] == periods
    assert json.loads(manifest.to_json())["switched_off"] == periods
    assert Manifest.from_json(json.dumps(GOOD)).switched_off == ()  # of an older workbench


def test_unknown_keys_are_left_out():
    assert Manifest.from_json(json.dumps(GOOD | {"later": [1]})) == Manifest.from_json(
        json.dumps(GOOD)
    )


def test_newer_format_says_upgrade():
    with pytest.raises(SessionVersionError, match="Upgrade"):
        Manifest.from_json('{"format": 2}')


@pytest.mark.parametrize(
    "change",
    [
        {"format": "1"},
        {"format": True},
        {"kinds": []},
        {"kinds": {"../etc": {}}},
        {"start_ns": "now"},
        {"start_ns": -1},
        {"start_ns": 1 << 64},
        {"state": "fine"},
        {"stop_ns": 1.5},
        {"tables": {"a/b": {"rows": 1}}},
        {"tables": {"cpu": {"rows": -1}}},
        {"tables": {"cpu": {}}},
        {"tables": {f"t{i}": {"rows": 0} for i in range(65)}},
        {"losses": [{}]},
        {"losses": {}},
        {"overhead": [{"kind": "cpu", "program": "p", "ns_per_run": "fast"}]},
        {"overhead": [{"kind": "cpu", "program": "p", "ns_per_run": 10**400}]},
        {"target": [[]]},
        {"target": {"a": "\ud800"}},
        {"host": {"machine": 5}},
        {"reason": "x" * 5000},
        {"switched_off": [{"kind": "cpu", "from_ns": 1}]},
        {"switched_off": [{"kind": "cpu", "from_ns": 1, "to_ns": "later"}]},
    ],
    ids=repr,
)
def test_hostile_values_are_refused(change):
    with pytest.raises(SessionCorruptError):
        Manifest.from_json(json.dumps(GOOD | change))


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[1]", "[" * 200_000, '{"format": NaN}', b"\xff\xfe", " " * (MAX_BYTES + 1)],
    ids=lambda text: str(text[:10]),
)
def test_no_json_is_refused(text):
    with pytest.raises(SessionCorruptError):
        Manifest.from_json(text)


def test_depth_is_bounded():
    deep: dict = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(SessionCorruptError, match="deeper"):
        Manifest.from_json(json.dumps(GOOD | {"target": deep}))


def test_the_writer_cannot_write_what_the_reader_refuses():
    with pytest.raises(SessionCorruptError):
        Manifest(kinds={}, start_ns=-5).to_json()


@given(st.dictionaries(st.sampled_from(list(GOOD) + ["host", "clock", "target"]), TREES))
def test_any_json_is_a_manifest_or_an_error(change):
    try:
        manifest = Manifest.from_json(json.dumps(GOOD | change))
    except (SessionCorruptError, SessionVersionError):
        return
    assert Manifest.from_json(manifest.to_json()) == manifest
