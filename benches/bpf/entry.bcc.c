/* What entry.bpf.c does, as a BCC program: one hook, the same record. */
struct event {
	u64 ts;
	u64 first;
	u64 third;
	u32 pid;
	u32 tid;
	u16 nr;
	u16 cpu;
};

static inline __attribute__((always_inline)) void fill(struct event *e, struct pt_regs *regs, u64 id, u16 nr)
{
	e->ts = bpf_ktime_get_boot_ns();
#ifdef __aarch64__
	e->first = regs->orig_x0;
	e->third = regs->regs[2];
#else
	e->first = regs->di;
	e->third = regs->dx;
#endif
	e->pid = id >> 32;
	e->tid = id;
	e->nr = nr;
	e->cpu = bpf_get_smp_processor_id();
}

RAW_TRACEPOINT_PROBE(sys_enter)
{
	u64 id = bpf_get_current_pid_tgid();
	struct pt_regs regs;
	int zero = 0, failed = 0;

	if (!WANTED(id >> 32))
		return 0;
	bpf_probe_read_kernel(&regs, sizeof(regs), (void *)ctx->args[0]);
#ifdef RING_PAGES
	struct event *e = events.ringbuf_reserve(sizeof(struct event));

	if (e) {
		fill(e, &regs, id, ctx->args[1]);
		events.ringbuf_submit(e, RING_FLAGS);
	}
	failed = !e;
#else
	struct event e = {};

	fill(&e, &regs, id, ctx->args[1]);
	failed = events.perf_submit(ctx, &e, sizeof(e));
#endif
	if (failed)
		dropped.increment(zero);
	return 0;
}
