import os

import numpy as np
import pytest

from workbench.symbols import resolver as resolver_module
from workbench.symbols.frame_table import FrameTable
from workbench.symbols.image_cache import ImageCache
from workbench.symbols.kallsyms import KernelSymbols
from workbench.symbols.perfmap import PerfMap
from workbench.symbols.process import Status, TracedProcess
from workbench.symbols.resolver import KernelResolver, UserResolver, bracketed

KERNEL = b"""\
ffffffff81000000 T first
ffffffff81000100 T second
ffffffffc0203000 t helper\t[nf_tables]
"""


class Scene:
    """A process whose mappings are written here."""

    def __init__(self, tmp_path, *contents):
        self.proc = tmp_path / "proc"
        self.contents = list(contents)
        self.failures = []
        self.frames = FrameTable()
        self.resolver = UserResolver(
            self.frames, ImageCache(self.proc), self.failures.append, lambda *_: None
        )
        self.process = TracedProcess.open(1, Status(1, frozenset({os.getuid()}), 1), self.proc)
        self.process.is_current = lambda: True
        self.process.perfmap = PerfMap([str(tmp_path / "perf.map")], (os.getuid(),))
        self.process.maps._read = lambda: self.contents.pop(0) if self.contents else b""
        times = iter(range(10, 1000, 10))
        self.process.maps._clock = lambda: next(times)
        self.process.refresh_maps(force=True)
        self.due()

    def due(self):
        self.process._maps_pacer._next = self.process._perfmap_pacer._next = 0

    def resolve(self, *addresses, latest=True, at=None):
        snapshot = self.process.maps.at(at)
        places = np.array(addresses, np.uint64)
        return self.resolver.resolve(self.process, snapshot, places, latest=latest).tolist()

    def rows(self):
        return {row["frame_id"]: row for row in self.frames.take().to_pylist()}

    def functions(self, *addresses, **options):
        ids = self.resolve(*addresses, **options)
        self.known = getattr(self, "known", {}) | self.rows()
        return [self.known[each]["function"] for each in ids]


def line(start, path="", inode=0, offset=0):
    text = f"{start:x}-{start + 0x1000:x} r-xp {offset:x} fe:00 {inode} {path}\n"
    return text.encode()


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("/usr/lib/libc.so.6", "[libc.so.6]"),
        ("/memfd:code", "[memfd:code]"),
        ("[vdso]", "[vdso]"),
        ("[kernel]", "[kernel]"),
        ("", "[unknown]"),
        ("/", "[unknown]"),
    ],
)
def test_brackets_are_those_of_stackcollapse(module, text):
    assert bracketed(module) == text


def test_files_out_of_reach_keep_their_offset(tmp_path):
    scene = Scene(tmp_path, line(0x10000, "/no/such/libx.so", 99, 0x4000))
    ids = scene.resolve(0x10010, 0x10020)
    rows = scene.rows()
    assert len(set(ids)) == 2
    row = rows[ids[0]]
    assert (row["function"], row["module"], row["offset"]) == (
        *("[libx.so]", "/no/such/libx.so", 0x4010),
    )
    assert row["kind"] == "native"
    assert scene.resolve(0x10010) == ids[:1]
    assert scene.resolver.unnamed == 2


def test_places_without_code_are_frame_zero(tmp_path):
    scene = Scene(tmp_path, line(0x10000))
    assert scene.resolve(0, 0xFFFF, 0x11000, 2**64 - 1) == [0, 0, 0, 0]


def test_special_areas_are_their_name(tmp_path):
    scene = Scene(tmp_path, line(0x10000, "[vsyscall]") + line(0x20000, "[heap]"))
    assert scene.functions(0x10000, 0x20000) == ["[vsyscall]", "[anon]"]


def test_code_loaded_later_is_found(tmp_path):
    scene = Scene(tmp_path, line(0x10000, "[one]"), line(0x10000, "[one]") + line(0x20000, "[two]"))
    assert scene.functions(0x20000, 0x10000) == ["[two]", "[one]"]


def test_the_time_decides_between_mappings(tmp_path):
    scene = Scene(tmp_path, line(0x10000, "[old]"), line(0x10000, "[new]"), line(0x20000, "[last]"))
    for _ in range(2):
        scene.process.refresh_maps(force=True)
    assert scene.functions(0x10000, at=10, latest=False) == ["[old]"]
    assert scene.functions(0x10000, at=20, latest=False) == ["[new]"]
    # Later mappings may hold what came after the reading; earlier ones only for want of a time.
    assert scene.functions(0x20000, at=10, latest=False) == ["[last]"]
    assert scene.functions(0x10000, at=30, latest=False) == ["[unknown]"]
    assert scene.functions(0x10000, latest=True) == ["[new]"]


def test_jit_code_gets_its_name_later(tmp_path):
    scene = Scene(tmp_path, line(0x10000))
    ids = scene.resolve(0x10008, 0x10800)
    rows = scene.rows()
    assert [rows[each]["kind"] for each in ids] == ["unknown"] * 2
    assert [rows[each]["function"] for each in ids] == ["[anon]"] * 2
    (tmp_path / "perf.map").write_text("10000 10 work\n")
    assert scene.resolver.retry(scene.process) == 1
    row = scene.rows()[ids[0]]
    assert (row["function"], row["kind"], row["module"], row["offset"]) == (
        *("work", "jit", "[anon]", 0x10008),
    )
    assert scene.resolver.retry(scene.process) == 0
    # Asked for again, the place has a frame with a name at once.
    assert scene.functions(0x10008) == ["work"]
    assert list(scene.process.unresolved) == [0x10800]


def test_jit_code_that_moves(tmp_path):
    path = tmp_path / "perf.map"
    path.write_text("10000 10 first\n")
    scene = Scene(tmp_path, line(0x10000))
    assert scene.functions(0x10000) == ["first"]
    with path.open("a") as file:
        file.write("10000 10 second\n10100 10 third\n")
    scene.due()
    assert scene.functions(0x10100) == ["third"]
    assert scene.functions(0x10000) == ["second"]


def test_jit_code_of_a_process_that_ended_before_its_mappings_were_read(tmp_path):
    scene = Scene(tmp_path, line(0x10000))
    scene.process.is_current = lambda: False
    assert scene.resolve(0x50000) == [0]
    (tmp_path / "perf.map").write_text("50000 10 late\n")
    scene.due()
    ids = scene.resolve(0x50008, 0x60000)
    assert ids[1] == 0
    row = scene.rows()[ids[0]]
    assert (row["function"], row["kind"], row["module"]) == ("late", "jit", "[anon]")


def test_code_caches_that_are_files(tmp_path):
    cache = tmp_path / "code cache"
    cache.write_bytes(bytes(4096))
    (tmp_path / "perf.map").write_text("10000 10 work\n")
    scene = Scene(tmp_path, line(0x10000, cache, cache.stat().st_ino))
    ids = scene.resolve(0x10000, 0x10020)
    rows = scene.rows()
    assert [rows[each]["function"] for each in ids] == ["work", "[code cache]"]
    assert {rows[each]["module"] for each in ids} == {str(cache)}


def test_errors_stay_within_their_mapping(tmp_path):
    scene = Scene(tmp_path, line(0x10000, "[bad]") + line(0x20000, "[good]"))
    image, mapped = scene.resolver._image, scene.resolver._mapped

    def failing(process, snapshot, mapping, addresses):
        if mapping.path == "[bad]":
            raise ValueError("bad")
        return mapped(process, snapshot, mapping, addresses)

    scene.resolver._mapped = failing
    assert scene.functions(0x10000, 0x20000) == ["[unknown]", "[good]"]
    assert [str(error) for error in scene.failures] == ["bad"]
    assert image is not None


def kernel(tmp_path, content=KERNEL):
    path = tmp_path / "kallsyms"
    path.write_bytes(content)
    frames = FrameTable()
    return KernelResolver(frames, path), frames


def test_kernel_frames(tmp_path):
    resolver, frames = kernel(tmp_path)
    assert resolver.status == ""
    base = 0xFFFFFFFF81000000
    places = np.array([base + 0x101, 0xFFFFFFFFC0203001, base - 1], np.uint64)
    ids = resolver.resolve(places)
    rows = {row["frame_id"]: row for row in frames.take().to_pylist()}
    assert [(rows[each]["function"], rows[each]["module"]) for each in ids.tolist()] == [
        ("second", "[kernel]"),
        ("helper", "[nf_tables]"),
        ("[kernel]", "[kernel]"),
    ]
    assert {rows[each]["kind"] for each in ids.tolist()} == {"kernel"}
    assert rows[int(ids[0])]["offset"] == base + 0x101
    assert resolver.resolve(places).tolist() == ids.tolist()
    assert frames.take().num_rows == 0
    assert (resolver.status, resolver.unnamed) == ("ok", 1)


def test_kernel_symbols_that_come_later(tmp_path, monkeypatch):
    resolver, frames = kernel(tmp_path)
    later = 0xFFFFFFFFD0000000
    resolver.resolve(np.array([later], np.uint64))
    (tmp_path / "kallsyms").write_bytes(KERNEL + b"ffffffffd0000000 t bpf_prog_1\t[bpf]\n")
    resolver.resolve(np.array([later + 1], np.uint64))
    monkeypatch.setattr(resolver_module, "KERNEL_RELOAD_SECONDS", 0.0)
    frames.take()
    resolver.resolve(np.array([later + 2], np.uint64))
    # Those that had no name get it, too: the names were read too long ago then.
    rows = frames.take().to_pylist()
    assert [row["function"] for row in rows] == ["bpf_prog_1"] * 3
    assert len({row["frame_id"] for row in rows}) == 3
    assert resolver.unnamed == 0


def test_kernel_symbols_are_looked_for_again_at_the_end(tmp_path):
    resolver, frames = kernel(tmp_path)
    later = 0xFFFFFFFFD0000000
    (number,) = resolver.resolve(np.array([later], np.uint64)).tolist()
    assert resolver.retry() == 0
    (tmp_path / "kallsyms").write_bytes(KERNEL + b"ffffffffd0000000 t bpf_prog_1\t[bpf]\n")
    assert (resolver.unnamed, resolver.retry(), resolver.unnamed) == (1, 1, 0)
    row = frames.take().to_pylist()[-1]
    assert (row["frame_id"], row["function"], row["module"]) == (number, "bpf_prog_1", "[bpf]")
    (tmp_path / "kallsyms").unlink()
    assert resolver.retry() == 0  # nothing is read where all have names
    assert resolver.status == "ok"


def test_kernel_symbols_that_are_hidden(tmp_path):
    hidden = b"".join(b"0" * 16 + line[16:] + b"\n" for line in KERNEL.splitlines())
    resolver, frames = kernel(tmp_path, hidden)
    ids = resolver.resolve(np.array([0xFFFFFFFF81000000], np.uint64))
    assert resolver.status == "hidden" == KernelSymbols.parse(hidden).status
    assert frames.take().to_pylist()[ids[0]]["function"] == "[kernel]"
