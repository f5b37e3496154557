import os

from workbench.symbols.regular import Identity, open_regular


def test_identity_of_what_was_opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"four")
    for descriptor, identity in open_regular(str(path)):
        assert identity == Identity.of(path.stat()) == Identity.of(os.fstat(descriptor))
        os.close(descriptor)
    path.write_bytes(b"other")
    assert identity != Identity.of(path.stat())


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/dev/zero", tmp_path, tmp_path / "pipe", tmp_path / "nothing", "a\0b"):
        assert list(open_regular(str(path))) == []
    assert len(os.listdir("/proc/self/fd")) == before
