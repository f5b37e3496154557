from __future__ import annotations

import pytest

from workbench.errors import SessionNotFoundError
from workbench.store.mapping import Mapped


def test_bytes_outlive_the_object_and_a_release(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10_000 + b"end")
    mapped = Mapped(path)
    part = mapped.buffer.slice(10_000)
    mapped.release()
    assert part.to_pybytes() == b"end"
    del mapped
    path.unlink()
    assert part.to_pybytes() == b"end"


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "a").touch()
    mapped = Mapped(tmp_path / "a")
    mapped.release()
    assert mapped.buffer.size == 0
    with pytest.raises(SessionNotFoundError):
        Mapped(tmp_path / "b")
