"""Entries are kept whole or not at all, in a folder of one's own, and the oldest go first."""

import os

import pytest

from workbench.symbols import line_cache
from workbench.symbols.line_cache import LineCache, fingerprint


def put(cache, name, content):
    descriptor, path = cache.create(name)
    os.write(descriptor, content)
    os.close(descriptor)
    cache.keep(path, name)


def get(cache, name):
    descriptor = cache.open(name)
    if descriptor < 0:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.fixture
def cache(tmp_path):
    return LineCache(tmp_path / "lines")


def test_what_was_kept_is_found_by_another(cache, tmp_path):
    assert get(cache, "abc-1") is None
    put(cache, "abc-1", b"content")
    assert get(LineCache(tmp_path / "lines"), "abc-1") == b"content"
    cache.remove("abc-1")
    assert get(cache, "abc-1") is None


def test_what_was_dropped_leaves_nothing(cache, tmp_path):
    descriptor, path = cache.create("abc-1")
    os.close(descriptor)
    cache.drop(path)
    assert get(cache, "abc-1") is None
    assert list((tmp_path / "lines").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "A"])
def test_odd_names_are_not_stored(cache, name):
    descriptor, path = cache.create(name)
    os.close(descriptor)
    assert path == ""
    assert cache.open(name) == -1


def test_a_folder_that_others_may_write_is_not_used(tmp_path):
    folder = tmp_path / "lines"
    folder.mkdir()
    folder.chmod(0o777)
    cache = LineCache(folder)
    put(cache, "abc-1", b"content")
    assert list(folder.iterdir()) == []


def test_links_and_empty_files_are_no_entries(cache, tmp_path):
    put(cache, "abc-1", b"content")
    (tmp_path / "lines" / "abc-2").symlink_to(tmp_path / "lines" / "abc-1")
    (tmp_path / "lines" / "abc-3").touch()
    assert get(cache, "abc-2") is None
    assert get(cache, "abc-3") is None


def test_the_oldest_go_first(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(line_cache, "MAX_BYTES", 25)
    for number in range(3):
        put(cache, f"abc-{number}", bytes(10))
        os.utime(tmp_path / "lines" / f"abc-{number}", (number, number))
    put(cache, "abc-3", bytes(10))
    assert [get(cache, f"abc-{n}") is not None for n in range(4)] == [False, False, True, True]


def test_fingerprints_tell_contents_apart(tmp_path):
    found = set()
    for name, content in (("a", b"x"), ("b", b"y"), ("c", b"x")):
        (tmp_path / name).write_bytes(content)
        with (tmp_path / name).open("rb") as file:
            found.add(fingerprint(file.fileno()))
    assert len(found) == 2
