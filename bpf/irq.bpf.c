// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Interrupts and softirqs: one event each, or counts and histograms made in the kernel.
 *
 * An interrupt is not of a process: what is told of are those that come while a thread of the
 * target has the CPU, whatever they are for. Kernel sources: kernel/irq/handle.c, kernel/softirq.c,
 * arch/x86/include/asm/trace/irq_vectors.h.
 */
#include "workbench.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0; /* 1: counts and histograms in the kernel, no events */
const volatile __u64 min_ns = 0;    /* events that took less are left out */

/* event_texts.py has the same names. Those behind softirq are vectors of x86, which have no device. */
enum wb_irq_type {
	WB_IRQ_DEVICE,
	WB_IRQ_SOFTIRQ,
	WB_IRQ_LOCAL_TIMER,
	WB_IRQ_RESCHEDULE,
	WB_IRQ_CALL_FUNCTION,
	WB_IRQ_CALL_FUNCTION_SINGLE,
	WB_IRQ_IRQ_WORK,
};
enum wb_irq_type *wb_enum_irq_type __attribute__((unused));
typedef __u16 wb_irq_type;

struct irq_event {
	wb_time_ns ts WB_DOC("when the handler began, UTC");
	wb_duration_ns duration WB_DOC("time until it ended; of softirqs with the interrupts on top");
	wb_pid pid WB_DOC("process (thread group) id of the thread that had the CPU");
	wb_tid tid WB_DOC("thread that had the CPU");
	wb_cpu cpu WB_DOC("CPU on which it came");
	wb_irq_type type WB_DOC("device, softirq, or a vector of the CPU's own: local_timer, reschedule, ...");
	__u16 irq WB_DOC("number of the interrupt, softirq or vector");
	wb_flag handled WB_DOC("0: the device's handler said that it was not for it");
};
WB_EVENT(irq_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process (thread group) id of the thread that had the CPU");
	wb_cpu cpu WB_DOC("CPU on which it came");
	wb_irq_type type WB_DOC("device, softirq, or a vector of the CPU's own: local_timer, reschedule, ...");
	__u16 irq WB_DOC("number of the interrupt, softirq or vector");
	__u16 pad;
};
WB_EVENT(aggregate_key);

#define HANDLER_BYTES 32

struct aggregate_value {
	wb_count interrupts WB_DOC("times that it came");
	wb_duration_ns duration_sum WB_DOC("sum of the times that its handlers took");
	wb_duration_ns duration_max WB_DOC("longest of them");
	char handler[HANDLER_BYTES] WB_DOC("name of a device's handler; else empty");
	wb_count duration_hist[HIST_SLOTS] WB_DOC("those that took [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384, WB_ROOM_AT_ONCE)

struct irqaction {
	const char *name;
} __attribute__((preserve_access_index));

/* What runs on a CPU: interrupts do not nest, but they come on top of softirqs. 0: none, or none of
 * the target's. */
struct here {
	__u64 softirq, interrupt;
} __attribute__((aligned(64)));
struct here here[WB_MAX_CPUS];

static __always_inline __u64 *began(__u16 type)
{
	struct here *h = &here[bpf_get_smp_processor_id() & (WB_MAX_CPUS - 1)];

	return type == WB_IRQ_SOFTIRQ ? &h->softirq : &h->interrupt;
}

static __always_inline int enter(__u16 type)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	*began(type) = tgid && wb_selected(tgid) == WB_TARGET_ACTIVE ? bpf_ktime_get_boot_ns() : 0;
	return 0;
}

/* Each key is of one CPU, and of one kind of context on it: nobody else writes its value. */
static __always_inline void count(struct irq_event *e, const char *handler)
{
	struct aggregate_key key = { .pid = e->pid, .cpu = e->cpu, .type = e->type, .irq = e->irq };
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	if (is_new && handler)
		bpf_probe_read_kernel_str(value->handler, HANDLER_BYTES, handler);
	value->interrupts++;
	value->duration_sum += e->duration;
	if (e->duration > value->duration_max)
		value->duration_max = e->duration;
	value->duration_hist[log2_slot(e->duration) & (HIST_SLOTS - 1)]++;
}

static __always_inline int leave(void *ctx, __u16 type, __u32 irq, bool handled, const char *handler)
{
	__u64 *ts = began(type), id = bpf_get_current_pid_tgid();
	struct irq_event e;

	if (!*ts)
		return 0;
	e.ts = *ts;
	e.duration = bpf_ktime_get_boot_ns() - *ts;
	e.pid = id >> 32;
	e.tid = (__u32)id;
	e.cpu = bpf_get_smp_processor_id();
	e.type = type;
	e.irq = irq;
	e.handled = handled;
	*ts = 0;
	if (aggregate)
		count(&e, handler);
	else if (e.duration >= min_ns)
		wb_output(ctx, &e, sizeof(e));
	return 0;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(device_entry, int irq, struct irqaction *action)
{
	return enter(WB_IRQ_DEVICE);
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(device_exit, int irq, struct irqaction *action, int ret)
{
	return leave(ctx, WB_IRQ_DEVICE, irq, ret, BPF_CORE_READ(action, name));
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_entry, unsigned int vector)
{
	return enter(WB_IRQ_SOFTIRQ);
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(softirq_exit, unsigned int vector)
{
	return leave(ctx, WB_IRQ_SOFTIRQ, vector, true, 0);
}

#define VECTOR(name, type)                                  \
	SEC("tp_btf/" #name "_entry")                       \
	int BPF_PROG(name##_entry, int vector)              \
	{                                                   \
		return enter(type);                         \
	}                                                   \
	SEC("tp_btf/" #name "_exit")                        \
	int BPF_PROG(name##_exit, int vector)               \
	{                                                   \
		return leave(ctx, type, vector, true, 0);   \
	}

VECTOR(local_timer, WB_IRQ_LOCAL_TIMER)
VECTOR(reschedule, WB_IRQ_RESCHEDULE)
VECTOR(call_function, WB_IRQ_CALL_FUNCTION)
VECTOR(call_function_single, WB_IRQ_CALL_FUNCTION_SINGLE)
VECTOR(irq_work, WB_IRQ_IRQ_WORK)
