"""What is put into CO-RE cells."""

from workbench.cells.core_text import HEADER, buffer_names, sent_types, wrapped

TEXT = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct event { u64 ts; };
struct other { int x; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); } out SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); } more SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); } counts SEC(".maps");
SEC("tp_btf/x") int f(void *ctx)
{
	struct event *e;
	struct other o = {};
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	bpf_perf_event_output(ctx, &out, BPF_F_CURRENT_CPU, &o, sizeof(o));
	bpf_ringbuf_output(&more, e, sizeof(struct event), 0);
	bpf_ringbuf_output(&unknown, p, sizeof(*p), 0);
	return 0;
}
"""


def test_buffers_and_what_they_are_sent():
    assert buffer_names(TEXT) == ["events", "out", "more"]
    assert sent_types(TEXT) == {
        "events": "struct event",
        "out": "struct other",
        "more": "struct event",
    }


def test_no_line_moves():
    program, header = wrapped(TEXT, buffer_names(TEXT))
    lines = program.splitlines()
    assert lines[0] == '#include "vmlinux.h"'
    assert lines[1] == f'#include "{HEADER}"'
    assert lines[2 : len(TEXT.splitlines())] == TEXT.splitlines()[2:]
    assert header.startswith("#include <bpf/bpf_helpers.h>\n")
    assert '"&more") ? 3 :' in header
    assert "struct other *wb_type_1" in program


def test_licences():
    assert program_of("int x;").count("GPL") == 1
    own = 'char l[] SEC("license") = "Dual BSD/GPL";'
    assert "wb_license" not in program_of(own)


def program_of(text):
    program, header = wrapped(text, [])
    assert header == ""
    return program
