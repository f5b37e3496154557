"""Profiles of the kinds before profile.proto, as small files, and what Go's tool makes of them."""

from __future__ import annotations

import struct
from pathlib import Path

import go_pprof

from workbench.importing import convert_file

HEAP = b"""\
heap profile:  266: 2097152 [  366: 3097152] @ heap_v2/524288
     1:  1024 [     4:  5000] @ 0x7ff0010 0x401000
    -2:  -9999 [     3:  7] @ 0x7ff0010 0x40100

  100: 9000000 [   100: 9000000] @ 0x40000010 0x401000 0x99999999999
MAPPED_LIBRARIES:
build=/path/to
00400000-00500000 r-xp 00000000 00:00 0 [heap]
7ff0000-7ff9000 r-xp 00010000 08:01 123  $build/lib.so.1
00020000-00100000 r-xp 00000000 08:01 124  $build/program (deleted)
00100000-00200000 r-xp 000e0000 08:01 124  $build/program (deleted)
00700000-00800000 rw-p 00000000 08:01 124  $build/program
40000000-40010000 /path/other (@FF00) abc123456
"""
GROWTH = b"""\
heap profile:  75: 78643200 [  75: 78643200] @ growth
  1:  1048576 [  1:  1048576] @ 0x1c78 0x1d1c
  74:  77594624 [  74:  77594624] @ 0x1c78 0x9612 0x1d1c
"""
CONTENTION = b"""\
--- contentionz 1 ---
cycles/second = 3201000000
sampling period = 100
ms since reset = 16502830
discarded samples = 0
  19490304       27 @ 0xbccc97 0xc61202 0x42ed5f 0x42edc1
       768        1 @ 0xbccc97 0xa42dc7 0x7ff1235
--- Memory map: ---
  00400000-00fcb000: cppbench_server_main
  7ff0000-7ff9000: /lib/libc-2.15.so
"""
THREADS = b"""\
--- threadz 1 ---

--- Thread 7f794ab90940 (name: main/14748) stack: ---
  PC: @     0x00bccc97 helper(arg *)
    @ 0x0040be31 main
    @ 0x7f5874ae6d5d __libc_start_main
--- Thread 7f794ab90941 (name: other/14749) stack: ---
    [same as previous thread]
--- Thread 7f794ab90942 (name: x y/14750) stack: ---
  0x0040be31
  0x0040be32
  0x7ff0010
--- Memory map: ---
00400000-00fcb000: cppbench_server_main
7ff0000-7ff9000: /lib/libc-2.15.so
"""
COUNTS = b"""\
# from a server
goroutine profile: total 7
4 @ 0x40be31 0x40be32 0x7ff0010
3 @ 0x40be31
"""
JAVA_HEAP = b"""\
--- heapz 1 ---
format = java
resolution = bytes
    7048      1 @ 0x00000003 0x00000004 0x00000005
    4752      2 @ 0x0000000a 0x00000004 0x00000007
     880      1 @ 0x00000035 0x00000036

   0x00000003 com.example.function003 (source.java:93)
   0x00000004 com.example.function004 (source.java:254)
   0x00000005 com.example.function005 (libx.so)
   0x00000007 GC
   0x0000000a generated stub/JIT
   0x00000035 com.example.Foo.bar (/usr/lib/jvm/libjvm.so)
"""
JAVA_CONTENTION = b"""\
--- contentionz 1 ---
format = java
resolution = microseconds
sampling period = 100
ms since reset = 6019923
            1     1 @ 0x00000003 0x00000004
           14     1 @ 0x0000000d 0x0000000e 0x0000000f

   0x00000003 foo.a (A.java:1)
   0x00000004 foo.b (A.java:2)
   0x0000000d foo.c (B.java:-1)
   0x0000000e foo.c (B.java:4)
"""
CPU_MAPS = b"""\
00400000-00452000 r-xp 00000000 08:02 173521 /bin/program
7ff0000-7ff9000 r-xp 00000000 08:02 135522 /lib/libc.so.6
"""
CPU_STACKS = (
    (5, (0x400010, 0x7FF0100, 0x400020, 0x400030)),
    (2, (0x400014, 0x7FF0100, 0x400014, 0x400030)),
    (9, (0x7FF0200, 0x7FF0100, 0x400041, 0x99999)),
)
"""Below the leaf the handler of the signal; in the second one the leaf stands twice, too."""


def cpu(word: str = "<Q", *, java: bool = False, rest: bytes = CPU_MAPS) -> bytes:
    """Return a CPU profile of gperftools in words of this kind."""
    numbers = [0, 3, int(java), 10_000, 0]
    for count, stack in CPU_STACKS:
        numbers += [count, len(stack), *stack]
    numbers += [0, 1, 0]
    return b"".join(struct.pack(word, number) for number in numbers) + rest


JAVA_CPU = cpu(
    java=True,
    rest=b"   0x400010 foo.a (A.java:1)\n   0x7FF0100 foo.b (A.java:2)\n 0x400020 GC\n",
)
FILES = {
    "heap": HEAP,
    "growth": GROWTH,
    "contention": CONTENTION,
    "threads": THREADS,
    "counts": COUNTS,
    "java-heap": JAVA_HEAP,
    "java-contention": JAVA_CONTENTION,
    "java-cpu": JAVA_CPU,
    "cpu": cpu(),
    "cpu-32": cpu("<I"),
    "cpu-big": cpu(">Q"),
    "cpu-32-big": cpu(">I"),
}


def told(file: Path, option: str) -> list[str]:
    """Return what Go's tool says of a file, but for the line with the program's name."""
    said = go_pprof.pprof(file, option).splitlines()
    return [line for line in said if not line.startswith("File: ")]


def assert_same(content: bytes, folder: Path) -> None:
    """Check that Go's tool says of a file what it says of that file converted by the workbench."""
    file, made = folder / "legacy", folder / "made.pb.gz"
    file.write_bytes(content)
    convert_file(file, made)
    for option in ("-raw", "-top", "-tags"):
        assert told(made, option) == told(file, option)
