"""What is put around programs."""

import pytest

from workbench.probe.bcc.text import has_buffers, struct_names, wrapped

PROGRAM = """
// struct not_me {
struct event { int a; };
/* struct nor { me } */
struct key_t{
    int b;
};
typedef struct {
    int c;
} named_t;
typedef struct { int d; } short_t;
BPF_PERF_OUTPUT(events);
"""


def test_structs_of_a_program():
    assert struct_names(PROGRAM) == ["struct event", "struct key_t", "named_t"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BPF_PERF_OUTPUT(events);", True),
        ("BPF_RINGBUF_OUTPUT (events, 8);", True),
        ("BPF_HASH(h);", False),
        ("", False),
    ],
)
def test_buffers(text, found):
    assert has_buffers(text) is found


def test_the_program_stays_as_it_is():
    made = wrapped(PROGRAM, ["struct event"])
    assert PROGRAM in made
    assert made.endswith("\nBPF_ARRAY(wb_type_0, struct event, 1);\n")
    assert "#define bpf_perf_event_output(" in made[: made.index(PROGRAM)]
