"""Whether BCC lays the structs of a header tree out as the kernel's BTF says.

Two checks, which together cover every member that has an address:

- ``offsetof`` of all of them, as the front end computes it for the host.
- BCC swaps the data layout for BPF's before code is generated. The two differ in integers wider
  than 64 bits and in ``long double`` only, and LLVM uses such integers for runs of bit fields. So
  the members of each struct that has bit fields, unnamed padding or such types are checked in
  generated code, made exactly so: what is added to a pointer to reach them.
"""

from __future__ import annotations

import platform
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.elf import Elf
from workbench.probe import btf as b
from workbench.probe.bcc.tree import KCONFIG, TYPES, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.probe.btf import Btf, Type

DATA_LAYOUT = "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128"
"""Of the BPF target, llvm/lib/Target/BPF/BPFTargetMachine.cpp (LLVM 14)."""

HOST = ("-target", f"{platform.machine()}-unknown-linux-gnu")

Place = tuple[str, str, int]
"""Struct, member, byte offset."""


def places(btf: Btf) -> list[Place]:
    """Return where members are, of all structs whose name stands for one type only."""
    tags = Counter(
        t.name for t in btf.types if t.kind in (b.STRUCT, b.UNION, b.ENUM, b.ENUM64) and t.name
    )
    found: list[Place] = []
    for each in btf.types:
        if each.kind in (b.STRUCT, b.UNION) and tags[each.name] == 1:
            members = _members(btf, each, 0)
            found += [(_word(each), name, offset) for name, offset in members]
    return found


def _members(btf: Btf, found: Type, base: int) -> list[tuple[str, int]]:
    members: list[tuple[str, int]] = []
    for member in found.members:
        offset = base + member.bit_offset
        if not member.name:
            inner, _ = btf.resolve(member.type_id)
            if inner.kind in (b.STRUCT, b.UNION):
                members += _members(btf, inner, offset)
        elif not member.bits:  # a bit field has no address
            members.append((member.name, offset // 8))
    return members


def innermost(btf: Btf, structs: set[str]) -> set[str]:
    """Return where a fault begins.

    Those of the structs that hold none of the others, and the named unions that these hold.
    """
    found = set()
    for each in btf.types:
        if each.kind in (b.STRUCT, b.UNION) and _word(each) in structs:
            held = {_word(inner) for inner in _held(btf, each)}
            if not held & structs:
                unions = {word for word in held if re.fullmatch(r"union \w+", word)}
                found |= {_word(each), *unions}
    return found


def _held(btf: Btf, found: Type) -> Iterator[Type]:
    for member in found.members:
        inner, _ = btf.resolve(member.type_id)
        while inner.kind == b.ARRAY:
            inner, _ = btf.resolve(inner.type_id)
        if inner.kind in (b.STRUCT, b.UNION):
            yield inner
            yield from _held(btf, inner)


def _word(found: Type) -> str:
    return f"{'struct' if found.kind == b.STRUCT else 'union'} {found.name}"


def wrong_places(tree: Path, wanted: list[Place]) -> list[Place]:
    """Return the members that a tree's types put elsewhere.

    Parameters
    ----------
    tree : pathlib.Path
        As :func:`workbench.probe.bcc.tree.make` wrote it.
    wanted : list of (struct, member, offset)

    Raises
    ------
    UnsupportedKernelError
        The types do not compile at all, or clang is missing.
    """
    fragile = _fragile((tree / TYPES).read_text())
    with tempfile.TemporaryDirectory(prefix="workbench-layout-") as folder:
        wrong = _by_front_end(tree, Path(folder), wanted)
        generated = [place for place in wanted if place[0] in fragile and place not in wrong]
        return wrong + _by_generated_code(tree, Path(folder), generated)


def _fragile(types: str) -> set[str]:
    """Return structs with members that the two data layouts place differently, or may."""
    blocks = re.findall(r"^((?:struct|union) \w+) \{\n(.*?)^\}", types, re.MULTILINE | re.DOTALL)
    return {name for name, body in blocks if re.search(r": \d+;|__int128|long double", body)}


def _by_front_end(tree: Path, folder: Path, wanted: list[Place]) -> list[Place]:
    """Compile a table of all offsets, and look into it."""
    text, output = folder / "offsets.c", folder / "offsets.o"
    values = [f"__builtin_offsetof({struct}, {member})," for struct, member, _ in wanted]
    section = '__attribute__((section("offsets")))'
    lines = [f'#include "{tree / KCONFIG}"', f"const unsigned wb_offsets[] {section} = {{", *values]
    text.write_text("\n".join([*lines, "};"]))
    run(["clang", *HOST, "-w", "-c", "-o", str(output), str(text)], "clang")
    found = np.frombuffer(Elf.open(output.read_bytes()).section_bytes("offsets"), "<u4")
    return [place for place, at in zip(wanted, found, strict=True) if at != place[2]]


def _by_generated_code(tree: Path, folder: Path, wanted: list[Place]) -> list[Place]:
    source = [f'#include "{tree / KCONFIG}"']
    source += [
        f"unsigned long wb_{i}({struct} *p) {{ return (unsigned long)&p->{member}; }}"
        for i, (struct, member, _) in enumerate(wanted)
    ]
    text, code = folder / "check.c", folder / "check.ll"
    text.write_text("\n".join(source))
    front = [*HOST, "-w", "-O2", "-Xclang", "-disable-llvm-passes"]
    run(["clang", *front, "-emit-llvm", "-S", "-o", str(code), str(text)], "clang")
    code.write_text(_for_bpf(code.read_text()))
    back = ["-target", "bpf", "-w", "-O1", "-x", "ir", "-S", "-o", "-", str(code)]
    found = _offsets(run(["clang", *back], "clang"))
    return [place for i, place in enumerate(wanted) if found.get(i) != place[2]]


def _for_bpf(code: str) -> str:
    """What BCC does to a module (src/cc/bpf_module.cc)."""
    layout = f'target datalayout = "{DATA_LAYOUT}"'
    code = re.sub(r"^target datalayout.*$", layout, code, count=1, flags=re.MULTILINE)
    code = re.sub(r"^target triple.*$", 'target triple = "bpf"', code, count=1, flags=re.MULTILINE)
    return re.sub(r'"(?:target-cpu|target-features|tune-cpu)"="[^"]*"', "", code)


def _offsets(assembly: str) -> dict[int, int]:
    """Read what each function adds to its argument."""
    found = {}
    for body in re.finditer(r"^wb_(\d+):.*?\n(.*?)\texit", assembly, re.MULTILINE | re.DOTALL):
        added = re.search(r"r0 \+= (-?\d+)", body[2])
        found[int(body[1])] = int(added[1]) if added else 0
    return found
