"""Lines of rewritten programs."""

from workbench.probe.bcc.lines import original_lines, rewritten

SOURCE = """BPF_HASH(h, u32, u64);

int f(struct pt_regs *ctx) {
    u32 k = 0;
    u64 *v = h.lookup(&k);
    return *v;
}
int kprobe__x(struct pt_regs *ctx, int a)
{ return a; }
"""
MADE = """Running from kernel directory at: /x
clang -cc1 main.c
#if defined(BPF_LICENSE)
#endif
BPF_HASH(h, u32, u64);

__attribute__((section(".bpf.fn.f")))
int f(struct pt_regs *ctx) {

    u32 k = 0;
    u64 *v = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -1), &k);
    return *v;
}
__attribute__((section(".bpf.fn.kprobe__x")))
int kprobe__x(struct pt_regs *ctx)
{
 int a = (int)ctx->di; return a; }

#include <bcc/footer.h>
"""


def test_each_line_finds_its_own():
    made = rewritten(MADE)
    assert made[0] == "#if defined(BPF_LICENSE)"
    found = original_lines(SOURCE, made)
    written = SOURCE.splitlines()
    for text, line in (("u32 k = 0", 4), ("bpf_map_lookup_elem", 5), ("return *v;", 6)):
        (number,) = (i for i, each in enumerate(made, 1) if text in each)
        assert found[number] == line, written[line - 1]
    (number,) = (i for i, each in enumerate(made, 1) if "ctx->di" in each)
    assert found[number] == 9


def test_nothing_that_is_known():
    assert rewritten("something else\n") == []
    assert original_lines(SOURCE, []) == {}
