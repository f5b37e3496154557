from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from workbench.errors import SessionError
from workbench.store.archive import pack
from workbench.store.reader import open_store
from workbench.store.recover import recover

TESTS = Path(__file__).parent.parent


def test_killed_recorder(tmp_path):
    path = tmp_path / "a.wb"
    code = f"import os, sys; sys.path.insert(0, {str(TESTS)!r}); import synthetic\n"
    code += "w = synthetic.write_streams(sys.argv[1], rows=1000); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    store = open_store(path)
    assert store.manifest.state == "recovered"
    assert "died" in store.manifest.reason
    assert store.manifest.rows("cpu") == 1000
    for _ in range(2):
        recover(path)
        store = open_store(path, verify=True)
        assert store.manifest.state == "recovered"
        assert store.sources["cpu"].num_rows == 1000
        assert not list(path.glob("*.arrows"))
    assert open_store(pack(path, tmp_path / "b.wb")).manifest.state == "recovered"


def test_a_live_session_is_left_alone(tmp_path):
    writer = synthetic.write_streams(tmp_path / "a.wb", rows=10)
    with pytest.raises(SessionError, match="still being recorded"):
        recover(tmp_path / "a.wb")
    writer.finish()
    recover(tmp_path / "a.wb")
    assert open_store(tmp_path / "a.wb").manifest.state == "complete"
