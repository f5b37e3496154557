"""A session of a stripped program, named later by the file that was kept."""

import shutil
import subprocess

import pytest
from programs import compiled
from synthetic import make_session

import workbench as wb
from workbench.cli import main
from workbench.errors import MissingTableError, ParameterError, StorageError
from workbench.frames.folded import folded
from workbench.frames.symbols import symbol_summary

SOURCE = """
#define OWN static __attribute__((noinline)) long
OWN spin(long n) { volatile long s = 0; while (n--) s += n; return s; }
OWN work(long n) { return spin(n) + 1; }
int main(void) { long s = 0; for (int i = 0; i < 60; i++) s += work(4000000); return s == 3; }
"""


@pytest.mark.kernel
def test_a_stripped_program_is_named_later(tmp_path, nothing_left, capsys):
    built = compiled(tmp_path, "whole", SOURCE, "gcc", "-g", "-O1", "-Wl,--build-id")
    bare = tmp_path / "server/bare"
    bare.parent.mkdir()
    subprocess.run(["strip", "-o", bare, built], check=True)
    session = wb.capture("cpu", hz=499, command=[str(bare)], output=tmp_path / "s.wb")
    bare.unlink()  # it is looked at elsewhere
    kept = tmp_path / "kept/symbols"
    kept.mkdir(parents=True)
    shutil.copy(built, kept)
    assert not folded(session)["stack"].str.contains("work;spin").any()

    made = session.symbolize(tmp_path / "kept")
    assert made.path == tmp_path / "s.symbolized.wb"
    before, after = folded(session), folded(made)
    assert after["weight"].sum() == before["weight"].sum()
    found = after.filter(after["stack"].str.contains("main;work;spin$"))
    assert found["weight"].sum() > 0.8 * after["weight"].sum()
    spin = made.hotspots().lines.filter(made.hotspots().lines["name"] == "spin")
    assert set(spin["line"]) == {3}
    (row,) = symbol_summary(made).filter(symbol_summary(made)["module"] == str(bare)).rows()
    assert row[3] >= row[2] - 1  # what the linker added has no lines, and may have no name
    assert row[4] >= 2

    with pytest.raises(StorageError, match="exists"):
        session.symbolize(tmp_path / "kept")
    assert main(["symbolize", str(session.path), "--search", str(kept), "--force"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(made.path)
    assert "named:" in told.err
    calls = wb.capture("syscalls", command=["true"], output=tmp_path / "c.wb")
    with pytest.raises(MissingTableError, match="nothing to name"):
        calls.symbolize()


def test_what_cannot_be_named(tmp_path, capsys):
    profile = make_session(tmp_path / "y.wb", kinds=("cpu",), rows=10)
    with pytest.raises(ParameterError, match="no such folder"):
        wb.open(profile).symbolize([tmp_path / "no such folder"])
    made = wb.open(profile).symbolize(output=tmp_path / "z.wb")
    assert folded(made).equals(folded(wb.open(profile)))
    assert made.manifest.reason == wb.open(profile).manifest.reason
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="not a session"):
        made.symbolize(output=tmp_path / "letter.txt", overwrite=True)
    assert main(["symbolize", str(profile), "-o", str(tmp_path / "z.wb")]) == 1
    assert "exists" in capsys.readouterr().err
