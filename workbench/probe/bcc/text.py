"""What is put around a BCC program: exact loss counters, and its event structs into its BTF.

BCC turns ``events.perf_submit(...)`` into a call of the helper with the buffer's number. Macros of
the helpers' names, which come into force then, count what each buffer was given and what it did
not take. The program itself stays as it is; messages about it count its own lines.
"""

from __future__ import annotations

import re

COUNTERS = "wb_losses"
BUFFERS = 64
"""Tables of a program whose losses can be counted."""
TYPE_PREFIX = "wb_type_"

# bpf_pseudo_fd(1, -N) names table number N of the program; the local name shadows it.
HEAD = f"""
struct wb_loss {{ u64 produced; u64 dropped; }};
BPF_PERCPU_ARRAY({COUNTERS}, struct wb_loss, {BUFFERS});
static __always_inline u64 wb_table_number(u64 kind, u64 number) {{ return -number; }}
static __always_inline void wb_count(int table, int dropped)
{{
	struct wb_loss *loss = {COUNTERS}.lookup(&table);
	if (!loss)
		return;
	loss->produced++;
	if (dropped)
		loss->dropped++;
}}
#define WB_TABLE(map) ({{ \\
	u64 (*bpf_pseudo_fd)(u64, u64) = wb_table_number; \\
	(int)(u64)(map); }})
static __always_inline int wb_perf_output(void *ctx, void *map, u64 flags, void *data, u64 size)
{{
	return bpf_perf_event_output(ctx, map, flags, data, size);
}}
#define bpf_perf_event_output(ctx, map, flags, data, size) ({{ \\
	int wb_result = wb_perf_output(ctx, map, flags, data, size); \\
	wb_count(WB_TABLE(map), wb_result < 0); wb_result; }})
static __always_inline int wb_ring_output(void *map, void *data, u64 size, u64 flags)
{{
	return bpf_ringbuf_output(map, data, size, flags);
}}
#define bpf_ringbuf_output(map, data, size, flags) ({{ \\
	int wb_result = wb_ring_output(map, data, size, flags); \\
	wb_count(WB_TABLE(map), wb_result < 0); wb_result; }})
static __always_inline void *wb_ring_reserve(void *map, u64 size, u64 flags)
{{
	return bpf_ringbuf_reserve(map, size, flags);
}}
#define bpf_ringbuf_reserve(map, size, flags) ({{ \\
	void *wb_room = wb_ring_reserve(map, size, flags); \\
	wb_count(WB_TABLE(map), !wb_room); wb_room; }})
"""

_BUFFER = re.compile(r"\bBPF_(?:PERF|RINGBUF)_OUTPUT\s*\(")
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{")
_TYPEDEF = re.compile(r"^\}\s*(?:__attribute__\s*\(\(.*?\)\)\s*)?(\w+)\s*;", re.MULTILINE)


def has_buffers(text: str) -> bool:
    """Whether a program declares perf or ring buffers."""
    return _BUFFER.search(text) is not None


def struct_names(text: str) -> list[str]:
    """Return the structs that a program defines, as C names them, by a look at its text."""
    plain = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    found = [f"struct {name}" for name in dict.fromkeys(_STRUCT.findall(plain))]
    return found + [name for name in dict.fromkeys(_TYPEDEF.findall(plain)) if name != "SEC"]


def wrapped(text: str, types: list[str]) -> str:
    """Return the program between counters and one table for each of ``types``.

    clang leaves structs that only functions use out of BTF; types of tables are in it.
    """
    tail = "".join(f"\nBPF_ARRAY({TYPE_PREFIX}{i}, {name}, 1);" for i, name in enumerate(types))
    return f"{HEAD}{text}{tail}\n"
