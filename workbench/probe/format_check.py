"""Is this file a BPF object that can be loaded? Asked before libbpf sees it.

libbpf's own messages for a wrong file ("failed to open: -22") help nobody.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from workbench.elf import Elf
from workbench.errors import ObjectFormatError

if TYPE_CHECKING:
    from pathlib import Path

EM_BPF = 247
ET_REL = 1
# Sections that libbpf 1.1 can attach by, as far as the workbench uses them or users write them.
KNOWN_SECTIONS = (
    "tp_btf", "raw_tp", "raw_tracepoint", "tp", "tracepoint", "kprobe", "kretprobe", "ksyscall",
    "kretsyscall", "kprobe.multi", "kretprobe.multi", "uprobe", "uretprobe", "uprobe.s",
    "uretprobe.s", "usdt", "fentry", "fexit", "fmod_ret", "fentry.s", "fexit.s", "fmod_ret.s",
    "iter", "lsm", "perf_event", "socket", "tc", "tcx", "classifier", "action", "xdp", "syscall",
    "cgroup", "cgroup_skb", "sockops", "sk_skb", "sk_msg", "sk_lookup", "struct_ops", "freplace",
)  # fmt: skip
SHF_EXECINSTR = 4
ADVICE = "Build it with `clang -O2 -g -target bpf -c NAME.bpf.c`."


def check_object(path: Path) -> None:
    """Check the format of a BPF object file.

    Raises
    ------
    ObjectFormatError
        No file, not ELF, for another machine or byte order, no BTF, no licence, no program, or a
        program in a section that nothing can be attached by.
    """
    name = path.name
    if not path.is_file():
        raise ObjectFormatError(
            f"There is no BPF object {path}.", advice="Compile the objects with `make bpf`."
        )
    with Elf.open(path) as elf:
        _check(name, elf)


def _check(name: str, elf: Elf) -> None:
    if elf.machine != EM_BPF or elf.etype != ET_REL:
        raise ObjectFormatError(
            f"{name} is not a BPF object.",
            why=f"its ELF machine is {elf.machine}, not {EM_BPF} (BPF)",
            advice=ADVICE,
        )
    if elf.byteorder != sys.byteorder:
        raise ObjectFormatError(
            f"{name} is for a {elf.byteorder}-endian machine.",
            why=f"this one is {sys.byteorder}-endian",
            advice=ADVICE,
        )
    for section, what, advice in (
        (".BTF", "BTF", "Compile it with -g, and strip it with `llvm-strip -g`, which keeps BTF."),
        ("license", "licence", 'Add: char LICENSE[] SEC("license") = "Dual BSD/GPL";'),
    ):
        if section not in elf.sections:
            raise ObjectFormatError(f"{name} has no {what}.", advice=advice)
    programs = [
        section_name
        for section_name, section in elf.sections.items()
        if section.flags & SHF_EXECINSTR and section.size and section_name != ".text"
    ]
    if not programs:
        raise ObjectFormatError(f"{name} holds no program.", advice='Mark one with SEC("...").')
    unknown = [s for s in programs if s.lstrip("?").partition("/")[0] not in KNOWN_SECTIONS]
    if unknown:
        raise ObjectFormatError(
            f"{name} has programs in sections that nothing can be attached by.",
            why=", ".join(unknown),
            advice="Section names are those of libbpf, e.g. tp_btf/sched_switch, perf_event.",
        )
