"""A program that counts its runs by the cookie of the place where it is attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.probe.objects import Object

COOKIES = 4


def body(section: str) -> str:
    """Return its C text, for :func:`compile_bpf.compile_bpf`; the program is ``user``."""
    return f"""
struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, {COOKIES}); __type(key, __u32);
         __type(value, __u64); }} seen SEC(".maps");
SEC("{section}") int user(void *ctx)
{{
    __u32 at = bpf_get_attach_cookie(ctx) & {COOKIES - 1};
    __u64 *n = bpf_map_lookup_elem(&seen, &at);
    if (n) __sync_fetch_and_add(n, 1);
    return 0;
}}
"""


def counted(loaded: Object) -> list[int]:
    """Return its runs so far, by cookie."""
    _, values = loaded.maps["seen"].items()
    return np.ascontiguousarray(values).view(np.uint64).ravel().tolist()
