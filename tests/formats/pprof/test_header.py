"""What a profile says of itself. That of captures: test_write.py; of files: test_read.py."""

from __future__ import annotations

from dataclasses import replace

import profile_pb
import pytest
import synthetic

from workbench.errors import SessionCorruptError
from workbench.formats import export
from workbench.formats.pprof.header import imported, kept_header, mappings
from workbench.importing import import_file
from workbench.recording import Recording
from workbench.store.save import save_tables


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(profile_pb.small().SerializeToString())
    return Recording.open(import_file(path, tmp_path / "small.wb"))


def test_what_the_file_said_is_kept(small):
    told = imported(small, "cpu")
    assert told
    found = kept_header(small, told)
    assert found.comments == ("first", "second")
    assert (found.drop_frames, found.keep_frames) == ("drop.*", "keep.*")
    assert (found.time_ns, found.duration_ns) == (10**18, 10**9)
    assert mappings(told)[0].build_id == "abcd"
    unknown = kept_header(small, dict(told) | {"time_known": False})
    assert unknown.time_ns == 0


def test_captures_are_no_imported_profiles(tmp_path):
    rec = Recording.open(synthetic.make_session(tmp_path / "a.wb", kinds=("cpu",), rows=9))
    assert imported(rec, "cpu") is None


def test_an_imported_session_that_was_tampered_with(small, tmp_path):
    rec = small
    told = rec.manifest.target["imported"]
    for wrong in (5, [5], [[1, 2]], [[-1, *told["mappings"][0][1:]]], [["a"] * 9]):
        target = {"imported": told | {"mappings": wrong}}
        tables = {name: (table.schema, table.batches()) for name, table in rec.tables.items()}
        other = save_tables(replace(rec.manifest, target=target), tables, tmp_path / "other.wb")
        with pytest.raises(SessionCorruptError, match="mappings"):
            export(Recording.open(other), "pprof", tmp_path / "out")
