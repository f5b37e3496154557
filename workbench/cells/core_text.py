"""What is put into a CO-RE cell: exact loss counters, its structs into its BTF, its licence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.probe.bcc.text import BUFFERS, COUNTERS, struct_names

TYPE_PREFIX = "wb_type_"
HEADER = "workbench_cell.h"

_HEAD = f"""
struct wb_loss {{ __u64 produced; __u64 dropped; }};
struct {{
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, {BUFFERS});
	__type(key, __u32);
	__type(value, struct wb_loss);
}} {COUNTERS} SEC(".maps");
static __always_inline void wb_count(__u32 buffer, int dropped)
{{
	struct wb_loss *loss = bpf_map_lookup_elem(&{COUNTERS}, &buffer);
	if (!loss)
		return;
	loss->produced++;
	if (dropped)
		loss->dropped++;
}}
static __always_inline long wb_perf_output(void *c, void *m, __u64 f, void *d, __u64 s)
{{
	return bpf_perf_event_output(c, m, f, d, s);
}}
static __always_inline long wb_ring_output(void *m, void *d, __u64 s, __u64 f)
{{
	return bpf_ringbuf_output(m, d, s, f);
}}
static __always_inline void *wb_ring_reserve(void *m, __u64 s, __u64 f)
{{
	return bpf_ringbuf_reserve(m, s, f);
}}
#define bpf_perf_event_output(c, m, f, d, s) ({{ long wb_r = wb_perf_output(c, m, f, d, s); \\
	wb_count(WB_BUFFER(#m), wb_r < 0); wb_r; }})
#define bpf_ringbuf_output(m, d, s, f) ({{ long wb_r = wb_ring_output(m, d, s, f); \\
	wb_count(WB_BUFFER(#m), wb_r < 0); wb_r; }})
#define bpf_ringbuf_reserve(m, s, f) ({{ void *wb_p = wb_ring_reserve(m, s, f); \\
	wb_count(WB_BUFFER(#m), !wb_p); wb_p; }})
"""
_MAP = re.compile(
    r"struct\s*\{[^{}]*BPF_MAP_TYPE_(?:RINGBUF|PERF_EVENT_ARRAY)\b[^{}]*\}\s*(\w+)\s*SEC"
)
_SENT = re.compile(
    r"bpf_(?:ringbuf_reserve|ringbuf_output|perf_event_output)\s*\("
    r"[^;]*?&(?P<map>\w+)\b[^;]*?sizeof\s*\(?\s*(?P<what>struct\s+\w+|\*?\s*\w+)"
)


def buffer_names(text: str) -> list[str]:
    """Return the perf and ring buffers of a program, in the order of its text."""
    return _MAP.findall(text)


def wrapped(text: str, names: Sequence[str]) -> tuple[str, str]:
    """Put counters behind a program's includes.

    Parameters
    ----------
    text : str
    names : sequence of str
        Its buffers; number ``i`` is counted in place ``i + 1`` of the counters.

    Returns
    -------
    program : str
        Its last include is one of :data:`HEADER` instead, so that no line moves.
    header : str
        The content of that: what was included, and the counters.
    """
    # clang evaluates the comparisons when it compiles: no text stays in the program.
    choice = "".join(
        f'!__builtin_strcmp(name, "&{name}") ? {i} : ' for i, name in enumerate(names, 1)
    )
    lines = text.split("\n")
    includes = [i for i, line in enumerate(lines) if re.match(r"\s*#\s*include\b", line)]
    header = ""
    if names and includes:
        header = f"{lines[includes[-1]]}\n#define WB_BUFFER(name) ({choice}0)\n{_HEAD}"
        lines[includes[-1]] = f'#include "{HEADER}"'
    tail = [
        f"{name} *{TYPE_PREFIX}{i} __attribute__((unused));"
        for i, name in enumerate(struct_names(text))
    ]
    if not re.search(r'SEC\s*\(\s*"license"\s*\)', text):
        tail.append('char wb_license[] __attribute__((section("license"))) = "GPL";')
    return "\n".join([*lines, *tail, ""]), header


def sent_types(text: str) -> dict[str, str]:
    """Return the C type of what each buffer is sent, as the program's calls name it."""
    found: dict[str, str] = {}
    for call in _SENT.finditer(text):
        what = re.sub(r"[*\s]+", " ", call["what"]).strip()
        if not what.startswith("struct "):
            declared = re.findall(rf"\bstruct\s+(\w+)\s*\*?\s*{what}\b", text[: call.end()])
            if not declared:
                continue
            what = f"struct {declared[-1]}"
        found.setdefault(call["map"], what)
    return found
