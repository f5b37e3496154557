/* What bpf/syscalls.bpf.c does, as a BCC program: the same events with the same fields.
 * BCC compiles it at run time; WANTED(pid) and the transport come as -D options.
 */
struct event {
	u64 ts;
	u64 latency;
	s64 ret;
	u64 args[6];
	u32 pid;
	u32 tid;
	u16 nr;
	u16 cpu;
};

struct call {
	u64 ts;
	u64 args[6];
	u64 nr;
};

BPF_HASH(calls, u32, struct call);
RAW_TRACEPOINT_PROBE(sys_enter)
{
	u64 id = bpf_get_current_pid_tgid();
	struct pt_regs regs;
	struct call call = {};
	u32 tid = id;

	if (!WANTED(id >> 32))
		return 0;
	bpf_probe_read_kernel(&regs, sizeof(regs), (void *)ctx->args[0]);
	call.ts = bpf_ktime_get_boot_ns();
	call.nr = ctx->args[1];
#ifdef __aarch64__
	call.args[0] = regs.orig_x0;
	call.args[1] = regs.regs[1];
	call.args[2] = regs.regs[2];
	call.args[3] = regs.regs[3];
	call.args[4] = regs.regs[4];
	call.args[5] = regs.regs[5];
#else
	call.args[0] = regs.di;
	call.args[1] = regs.si;
	call.args[2] = regs.dx;
	call.args[3] = regs.r10;
	call.args[4] = regs.r8;
	call.args[5] = regs.r9;
#endif
	calls.update(&tid, &call);
	return 0;
}

static inline __attribute__((always_inline)) void fill(struct event *e, struct call *call, u64 id, s64 ret)
{
	e->ts = call->ts;
	e->latency = bpf_ktime_get_boot_ns() - call->ts;
	e->ret = ret;
	e->args[0] = call->args[0];
	e->args[1] = call->args[1];
	e->args[2] = call->args[2];
	e->args[3] = call->args[3];
	e->args[4] = call->args[4];
	e->args[5] = call->args[5];
	e->pid = id >> 32;
	e->tid = id;
	e->nr = call->nr;
	e->cpu = bpf_get_smp_processor_id();
}

RAW_TRACEPOINT_PROBE(sys_exit)
{
	u64 id = bpf_get_current_pid_tgid();
	struct call *call;
	u32 tid = id;
	int zero = 0, failed = 0;

	if (!WANTED(id >> 32))
		return 0;
	call = calls.lookup(&tid);
	if (!call)
		return 0;
#ifdef RING_PAGES
	struct event *e = events.ringbuf_reserve(sizeof(struct event));

	if (e) {
		fill(e, call, id, ctx->args[1]);
		events.ringbuf_submit(e, RING_FLAGS);
	}
	failed = !e;
#else
	struct event e = {};

	fill(&e, call, id, ctx->args[1]);
	failed = events.perf_submit(ctx, &e, sizeof(e));
#endif
	if (failed)
		dropped.increment(zero);
	return 0;
}
