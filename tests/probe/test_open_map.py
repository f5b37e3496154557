"""Maps by descriptor and by number."""

import os

import pytest
from compile_bpf import PROGRAM, bpf_descriptors, compile_bpf

from workbench.errors import MapError, NotPermittedError
from workbench.probe import open_map
from workbench.probe.objects import Object
from workbench.probe.open_map import OpenMap, held_by, is_map

MAPS = """
struct pair { __u32 a, b; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 7); __type(key, __u32);
    __type(value, struct pair); } with_a_very_long_name SEC(".maps");
"""


@pytest.fixture
def loaded(tmp_path):
    with Object(compile_bpf(tmp_path, MAPS + PROGRAM)) as obj:
        obj.load()
        yield obj
    assert bpf_descriptors() == []


@pytest.mark.kernel
def test_what_the_kernel_says_of_a_map(loaded):
    original = loaded.maps["with_a_very_long_name"]
    found = OpenMap.of(original.fd)
    assert (found.type, found.key_size, found.value_size, found.max_entries) == (1, 4, 8, 7)
    assert found.name == "with_a_very_lon"
    assert OpenMap.of(original.fd, "another").name == "another"
    assert found.btf_id > 0
    assert found.id in held_by(os.getpid())
    with OpenMap.by_id(found.id) as again:
        assert again.fd != original.fd
        again.update(b"\1\0\0\0", b"12345678")
    assert original.lookup(b"\1\0\0\0") == b"12345678"


@pytest.mark.kernel
def test_what_is_no_map(loaded):
    program = loaded.programs["program"].fd
    for fd in (0, program, 1 << 20, -1):
        assert not is_map(fd)
        with pytest.raises(MapError, match="not one of a BPF map"):
            OpenMap.of(fd)


@pytest.mark.kernel
def test_a_number_that_no_map_has():
    with pytest.raises(MapError, match="map 2147483647") as caught:
        OpenMap.by_id((1 << 31) - 1)
    assert "ENOENT" in caught.value.why


def test_without_the_privilege(monkeypatch):
    class Refusing:
        def bpf_map_get_fd_by_id(self, _):
            return -1

    monkeypatch.setattr(open_map, "lib", Refusing)
    monkeypatch.setattr(open_map, "last_errno", lambda: 1)
    with pytest.raises(NotPermittedError):
        OpenMap.by_id(1)


def test_what_processes_hold(tmp_path):
    folder = tmp_path / "7" / "fdinfo"
    folder.mkdir(parents=True)
    (folder / "3").write_text("pos:\t0\nmap_type:\t1\nmap_id:\t12\n")
    (folder / "4").write_text("pos:\t0\nmap_type:\t2\nmap_id:\t5\nfrozen:\t0\n")
    (folder / "5").write_text("pos:\t0\nprog_id:\t99\n")
    assert held_by(7, tmp_path) == [5, 12]
    assert held_by(8, tmp_path) == []
