"""Identifiers: the same for the same, others for others, never zero."""

from dataclasses import replace

import numpy as np
from synthetic import manifest

from workbench.formats.otlp import identity


def test_a_session_has_one_id_from_start_to_end():
    one = manifest(["cpu"], 10, 0)
    later = replace(one, state="complete", stop_ns=one.start_ns + 5, tables={"cpu": {"rows": 3}})
    assert identity.session_id(one) == identity.session_id(later)
    assert len(identity.session_id(one)) == 16
    assert identity.session_id(one) != identity.session_id(replace(one, start_ns=1))


def test_hashes():
    seed = identity.seed_of(b"s", "a")
    count = np.arange(100_000)
    found = identity.hashed(seed, count, np.zeros(len(count), np.int64))
    assert len(np.unique(found)) == len(count)
    assert (found == identity.hashed(seed, count, 0 * count)).all()
    assert (found[:5] == identity.hashed(seed, count[:5], count[:5] * 0)).all()  # row by row
    other = identity.hashed(identity.seed_of(b"s", "b"), count, count * 0)
    assert not np.isin(found, other).any()
    assert not np.isin(found[1:], identity.hashed(seed, count * 0, count)[1:]).any()  # in order


def test_signed_and_unsigned_columns_hash_alike():
    seed = identity.seed_of(b"s", "a")
    signed = identity.hashed(seed, np.array([-1, 5]))
    assert (signed == identity.hashed(seed, np.array([2**64 - 1, 5], np.uint64))).all()


def test_zero_is_no_identifier(monkeypatch):
    monkeypatch.setattr(identity, "_mixed", lambda values: values * np.uint64(0))
    assert identity.hashed(np.uint64(0), np.arange(3)).tolist() == [1, 1, 1]


def test_profiles():
    ids = {identity.profile_id(b"s", kind, part) for kind in ("cpu", "offcpu") for part in (0, 1)}
    assert len(ids) == 4
    assert {len(each) for each in ids} == {16}
