from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from synthetic import make_session

from workbench.formats import _appearing
from workbench.formats._appearing import appearing

# The real export, which is told to wait as soon as it has written something.
EXPORT = """\
import sys, time
from workbench.formats import export
from workbench.recording import Recording

def wait(count):
    print(count, flush=True)
    time.sleep(60)

export(Recording.open(sys.argv[1]), "csv", sys.argv[2], table="cpu", progress=wait)
"""


@pytest.fixture(params=["without a name", "named"])
def way(request, monkeypatch):
    if request.param == "named":
        monkeypatch.setattr(_appearing, "_without_name", lambda _folder: None)
    return request.param


def write(target, text):
    with appearing(target) as descriptor, os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        return sorted(path.name for path in target.parent.iterdir())


def test_it_appears_when_it_is_whole(way, tmp_path):
    target = tmp_path / "a"
    before = len(os.listdir("/proc/self/fd"))
    for text, there in (("new", []), ("newer", ["a"])):
        parts = write(target, text)
        assert [name for name in parts if not name.endswith(".part")] == there
        assert target.read_text() == text
        assert list(tmp_path.iterdir()) == [target]
    assert len(os.listdir("/proc/self/fd")) == before


def test_of_what_fails_nothing_stays(way, tmp_path):
    target = tmp_path / "a"
    for there in ([], [target]):
        with (
            pytest.raises(KeyboardInterrupt),
            appearing(target) as descriptor,
            os.fdopen(descriptor, "w") as file,
        ):
            file.write("half")
            file.flush()
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == there
        target.write_text("old")
    assert target.read_text() == "old"


def test_the_umask_is_honoured(way, tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "a", "")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_is_replaced_and_not_followed(way, tmp_path):
    (tmp_path / "other").write_text("other")
    (tmp_path / "a").symlink_to("other")
    write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "other").read_text() == "other"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write(fifo, "new")
    assert os.read(reader, 99) == b"new"
    os.close(reader)
    assert fifo.is_fifo()


def test_a_link_to_standard_output_stays(tmp_path):
    """Also if that is a file, which is appended to."""
    (tmp_path / "file").write_text("old ")
    (tmp_path / "out").symlink_to("/proc/self/fd/1")
    words = "import pathlib, os\nfrom workbench.formats._appearing import appearing\n"
    words += "with appearing(pathlib.Path('out')) as made, os.fdopen(made, 'w') as file:\n"
    words += "    file.write('new')"
    with (tmp_path / "file").open("ab") as file:
        subprocess.run([sys.executable, "-c", words], stdout=file, cwd=tmp_path, check=True)
    assert (tmp_path / "file").read_text() == "old new"
    assert (tmp_path / "out").is_symlink()


def test_where_no_file_can_be(way, tmp_path):
    with pytest.raises(FileNotFoundError), appearing(tmp_path / "none" / "a"):
        pass


def test_without_proc_the_file_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(_appearing, "_path", lambda _descriptor: "/proc/none")
    before = len(os.listdir("/proc/self/fd"))
    (part,) = write(tmp_path / "a", "new")
    assert part.endswith(f".{os.getpid()}.part")
    assert (tmp_path / "a").read_text() == "new"
    assert len(os.listdir("/proc/self/fd")) == before


def unnamed_files(folder):
    """Return whether the file system can do it: not NFS, nor FUSE before Linux 6.2."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("old", [True, False])
def test_of_an_export_that_is_killed_nothing_stays(old, tmp_path):
    session = make_session(tmp_path / "s.wb", rows=50)
    folder = tmp_path / "out"
    folder.mkdir()
    if old:
        (folder / "x.csv").write_text("old")
    words = [sys.executable, "-c", EXPORT, session, folder / "x.csv"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert int(child.stdout.readline()) > 0
        child.send_signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL
    parts = [path.name for path in folder.glob("*.part")]
    assert len(parts) == (0 if unnamed_files(folder) else 1)
    rest = [path.read_text() for path in folder.iterdir() if path.name not in parts]
    assert rest == ["old"] * old
