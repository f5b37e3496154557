"""Files that a command mapped before."""

import os
import sys

import pytest

from workbench.unwind import learned
from workbench.unwind.learned import recall, remember

COMMAND = [sys.executable, "-c", "pass"]


def test_paths_come_back_by_program_and_script(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("")
    place = tmp_path / "learned"
    assert recall(COMMAND, place) == []
    remember(COMMAND, ["/lib/a.so", "[vdso]", "/lib/b.so (deleted)", "relative"], place)
    remember([sys.executable, str(script)], ["/lib/c.so"], place)
    assert recall([sys.executable, "-c", "other"], place) == ["/lib/a.so"]
    assert recall([sys.executable, str(script), "more"], place) == ["/lib/c.so"]
    assert recall(["no-such-program"], place) == recall([], place) == []
    remember(COMMAND, ["/lib/d.so"], place)
    assert recall(COMMAND, place) == ["/lib/d.so", "/lib/a.so"]


def test_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(learned, "MAX_PATHS", 3)
    monkeypatch.setattr(learned, "MAX_COMMANDS", 2)
    for number in range(4):
        script = tmp_path / f"{number}.py"
        script.write_text("")
        remember([sys.executable, str(script)], [f"/{number}{i}" for i in range(9)], tmp_path / "x")
        newest = recall([sys.executable, str(script)], tmp_path / "x")
        assert newest == [f"/{number}0", f"/{number}1", f"/{number}2"]
    assert len(list((tmp_path / "x").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b'[1, null, "/a"', b"\xff\xfe", b"[[[[" * 9])
def test_damaged_files_are_no_files(tmp_path, content):
    remember(COMMAND, ["/a"], tmp_path / "x")
    (file,) = (tmp_path / "x").iterdir()
    file.write_bytes(content)
    assert recall(COMMAND, tmp_path / "x") == []
    remember(COMMAND, ["/b"], tmp_path / "x")
    assert recall(COMMAND, tmp_path / "x") == ["/b"]


def test_a_folder_of_others_is_not_used(tmp_path):
    place = tmp_path / "x"
    place.mkdir(mode=0o777)
    os.chmod(place, 0o777)
    remember(COMMAND, ["/a"], place)
    assert list(place.iterdir()) == []
