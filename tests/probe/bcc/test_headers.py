"""Which headers BCC gets: those that fit exactly, or a tree from BTF; never others."""

import os
import platform

import pytest

from workbench.errors import UnsupportedKernelError
from workbench.probe.bcc import headers, layout_check, tree
from workbench.probe.btf import Btf


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv("BCC_KERNEL_SOURCE", raising=False)


def real(folder, release=None, version=None, config=None):
    """A folder as a package of kernel headers leaves it."""
    generated = folder / "include" / "generated"
    generated.mkdir(parents=True)
    release = release or platform.release()
    (generated / "utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n')
    if version:
        (generated / "utsversion.h").write_text(f'#define UTS_VERSION "{version}"\n')
    if config is not None:
        (folder / "include" / "config").mkdir()
        (folder / "include" / "config" / "auto.conf").write_text(config)
    return folder


def test_headers_that_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "config_text", lambda _: "CONFIG_A=y\nCONFIG_CC_VERSION=1\n")
    assert headers.misfit(real(tmp_path / "a")) == ""
    assert headers.misfit(real(tmp_path / "b", version=platform.version())) == ""
    same = "CONFIG_A=y\nCONFIG_CC_VERSION=2\nCONFIG_MORE=y\n"
    assert headers.misfit(real(tmp_path / "c", config=same)) == ""
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path / "c"))
    assert headers.find() == headers.Headers(tmp_path / "c", made=False)
    assert headers.find().prepare("struct task_struct {\n#include <linux/x.h>") == []


def test_headers_of_another_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "config_text", lambda _: "CONFIG_A=y\n")
    assert "do not say" in headers.misfit(tmp_path)
    assert "of 6.1.0-13-amd64, and" in headers.misfit(real(tmp_path / "a", "6.1.0-13-amd64"))
    assert "#1 SMP" in headers.misfit(real(tmp_path / "b", version="#1 SMP of another build"))
    other = real(tmp_path / "c", config="CONFIG_A=m\n")
    assert "another CONFIG_A" in headers.misfit(other)
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path / "a"))
    with pytest.raises(UnsupportedKernelError, match="not those of the running kernel") as caught:
        headers.find()
    assert "Unset BCC_KERNEL_SOURCE" in caught.value.advice


def made(folder, monkeypatch, wrong=()):
    """Make a tree of little; return how often that was done."""
    calls = []

    def make(place, btf, *, source):
        calls.append(place)
        (place / tree.TYPES).parent.mkdir(parents=True)
        (place / tree.TYPES).write_text("#ifndef WB_OMIT_task\nstruct task { int a; };\n#endif\n")

    monkeypatch.setattr(tree, "make", make)
    monkeypatch.setattr(Btf, "parse", classmethod(lambda *_: Btf((), {})))
    monkeypatch.setattr(layout_check, "wrong_places", lambda *_: list(wrong))
    return calls


def test_trees_are_kept_by_kernel(tmp_path, monkeypatch):
    calls = made(tmp_path, monkeypatch)
    source = tmp_path / "btf"
    source.write_bytes(b"one")
    first = headers.made_tree(tmp_path / "trees", source)
    assert headers.made_tree(tmp_path / "trees", source) == first
    assert len(calls) == 1
    source.write_bytes(b"two")
    second = headers.made_tree(tmp_path / "trees", source)
    assert second != first
    monkeypatch.setattr(tree, "config_text", lambda _: "CONFIG_OTHER=y\n")
    assert headers.made_tree(tmp_path / "trees", source) not in (first, second)
    assert len(calls) == 3
    assert [path.name for path in (tmp_path / "trees").iterdir() if path.name[0] == "."] == []


def test_few_trees_are_kept(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch)
    trees, source = tmp_path / "trees", tmp_path / "btf"
    for number in range(headers.KEPT + 3):
        source.write_bytes(b"%d" % number)
        place = headers.made_tree(trees, source)
        os.utime(place, (number, number))
    half = trees / ".half"
    half.mkdir()
    os.utime(half, (1, 1))
    source.write_bytes(b"last")
    headers.made_tree(trees, source)
    assert len(list(trees.iterdir())) == headers.KEPT + 1
    assert not half.exists()


def test_a_tree_that_would_be_wrong_is_none(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch, wrong=[("struct task", "a", 4)])
    (tmp_path / "btf").write_bytes(b"x")
    with pytest.raises(UnsupportedKernelError, match="cannot be made") as caught:
        headers.made_tree(tmp_path / "trees", tmp_path / "btf")
    assert "struct task.a, which is at byte 4" in caught.value.why
    assert list((tmp_path / "trees").iterdir()) == []


def test_a_folder_where_others_may_write_is_not_trusted(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch)
    (tmp_path / "btf").write_bytes(b"x")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(headers.tempfile, "tempdir", str(tmp_path))
    place = headers.made_tree(tmp_path / "open", tmp_path / "btf")
    assert place.parent != tmp_path / "open"
    assert list((tmp_path / "open").iterdir()) == []


def test_without_btf(tmp_path):
    with pytest.raises(UnsupportedKernelError, match="and there are none for this kernel"):
        headers.made_tree(tmp_path, tmp_path / "none")


def test_what_programs_include_and_define(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch)
    (tmp_path / "btf").write_bytes(b"x")
    found = headers.Headers(headers.made_tree(tmp_path / "trees", tmp_path / "btf"), made=True)
    text = """
#include <linux/sched.h>
#  include <net/new/thing.h>
#include <linux/../../../escape.h>
#include "mine.h"
#include <stdint.h>
struct task {
    int b;
};
struct own { int c; };
"""
    assert found.prepare(text) == ["-DWB_OMIT_task"]
    there = {str(p.relative_to(found.path)) for p in found.path.rglob("*.h")}
    assert {"include/linux/sched.h", "include/net/new/thing.h", "include/asm/page.h"} <= there
    assert not any("escape" in name or "mine" in name or "stdint" in name for name in there)
    assert found.prepare("int x;") == []


@pytest.mark.kernel
def test_this_kernels_tree_is_whole():
    """Made once for each kernel, and kept in the user's cache."""
    found = headers.find()
    if not found.made:
        pytest.skip("real headers that fit are installed")
    assert int((found.path / headers.MARK).read_text().split()[0]) > 10_000
