// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Signals: one event when one is generated, and one when it is delivered.
 *
 * Those that a thread takes by sigwait() or a signalfd are never delivered, and one that ends a process
 * is delivered to each of its threads as SIGKILL. Kernel source: kernel/signal.c.
 * With WB_STACKS each event has the stack of the thread in whose context it happened.
 */
#ifdef WB_STACKS
#include "stack.bpf.h"
#endif
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum wb_signal_event {
	WB_SIGNAL_GENERATED,
	WB_SIGNAL_DELIVERED,
};
enum wb_signal_event *wb_enum_signal_event __attribute__((unused));

/* What became of a generated signal: TRACE_SIGNAL_*, include/trace/events/signal.h. */
enum wb_signal_result {
	WB_RESULT_QUEUED,
	WB_RESULT_IGNORED,
	WB_RESULT_ALREADY_PENDING,
	WB_RESULT_OVERFLOW_FAIL,
	WB_RESULT_LOSE_INFO, /* queued without its siginfo */
	WB_RESULT_NONE,      /* of a delivered signal */
};
enum wb_signal_result *wb_enum_signal_result __attribute__((unused));

enum wb_signal_action {
	WB_ACTION_HANDLER,
	WB_ACTION_DEFAULT,
	WB_ACTION_IGNORE,
	WB_ACTION_NONE, /* of a generated signal */
};
enum wb_signal_action *wb_enum_signal_action __attribute__((unused));

typedef __u16 wb_signal_event;
typedef __u16 wb_signal_result;
typedef __u16 wb_signal_action;

struct signals_event {
	wb_time_ns ts WB_DOC("time of the event, UTC");
	wb_duration_ns latency WB_DOC("of delivered: time since it was generated; 0 if not known");
	wb_pid pid WB_DOC("process that gets the signal");
	wb_tid tid WB_DOC("thread that gets it; of one generated for a process: its main thread");
	wb_pid sender_pid WB_DOC("process that generated it; 0: a timer or a device, or not known");
	wb_tid sender_tid WB_DOC("thread that generated it; 0: a timer or a device, or not known");
	__s32 code WB_DOC("si_code: 0 kill, -6 tgkill, 128 kernel, ...: sigaction(2)");
	__u16 signal WB_DOC("signal number");
	wb_cpu cpu WB_DOC("CPU that recorded the event");
	wb_signal_event event WB_DOC("generated or delivered");
	wb_signal_result result WB_DOC("of generated: queued, ignored, already_pending, ...");
	wb_signal_action action WB_DOC("of delivered: handler, default, ignore");
	wb_waker_context context WB_DOC("of generated: task, softirq, interrupt");
	wb_flag group WB_DOC("of generated: 1 for a process, 0 for one thread");
	__u16 pad[3];
#ifdef WB_STACKS
	WB_STACK_FIELDS;
#endif
};
WB_EVENT(signals_event);

struct kernel_siginfo {
	int si_code;
} __attribute__((preserve_access_index));

struct sigaction {
	void *sa_handler;
} __attribute__((preserve_access_index));

struct k_sigaction {
	struct sigaction sa;
} __attribute__((preserve_access_index));

/* include/linux/sched/signal.h: not a siginfo, but what is to become of it */
#define SEND_SIG_NOINFO 0 /* SI_USER, of the current task */
#define SEND_SIG_PRIV 1   /* SI_KERNEL */
#define SI_KERNEL 0x80
#define SIGRTMIN 32 /* signals from here on queue up: signal(7) */
#define SIG_DFL 0
#define SIG_IGN 1

/* Signals that wait for a thread or a process. The lock of its signals is held where one is generated
 * and where it is delivered, so each key has one writer at a time. */
struct waiting_key {
	__u32 id; /* thread or process */
	__u16 signal;
	__u16 group;
};

#define WAITING 8 /* of one number: more have no latency */
struct sent {
	__u64 ts;
	__u32 pid, tid;
};

struct waiting {
	__u32 first, count;
	struct sent sent[WAITING];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct waiting_key);
	__type(value, struct waiting);
} waiting SEC(".maps");

#ifdef WB_STACKS
/* Interrupts are off here. */
WB_STACK_RECORD(signals_event)

static __always_inline void send(void *ctx, struct signals_event *made)
{
	struct signals_event *e = wb_stack_record();
	long bytes;

	if (!e)
		return;
	__builtin_memcpy(e, made, __builtin_offsetof(struct signals_event, kernel_depth));
	*WB_STACK_HEAD(e) = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
	if (made->context == WB_WAKER_INTERRUPT) { /* not the stack of anybody's doing */
		wb_output(ctx, e, sizeof(*e));
		return;
	}
	bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words,
			 WB_STACK_KERNEL | WB_STACK_USER | WB_STACK_PYTHON);
	wb_output(ctx, e, sizeof(*e) + bytes);
}
#else
static __always_inline void send(void *ctx, struct signals_event *made)
{
	wb_output(ctx, made, sizeof(*made));
}
#endif

static __always_inline int code_of(struct kernel_siginfo *info)
{
	int code = 0;

	if ((unsigned long)info <= SEND_SIG_PRIV)
		return (unsigned long)info == SEND_SIG_PRIV ? SI_KERNEL : 0;
	bpf_core_read(&code, sizeof(code), &info->si_code);
	return code;
}

static __always_inline void push(struct waiting_key *key, struct sent *sent)
{
	static const struct waiting none;
	struct waiting *w = bpf_map_lookup_elem(&waiting, key);
	__u32 at;

	if (!w) {
		bpf_map_update_elem(&waiting, key, &none, BPF_NOEXIST);
		w = bpf_map_lookup_elem(&waiting, key);
		if (!w)
			return;
	}
	if (key->signal < SIGRTMIN) /* it was not pending before: one that is here was taken otherwise */
		w->count = 0;
	if (w->count >= WAITING)
		return;
	at = (w->first + w->count) & (WAITING - 1);
	w->sent[at] = *sent;
	w->count++;
}

static __always_inline bool pop(struct waiting_key *key, struct sent *sent)
{
	struct waiting *w = bpf_map_lookup_elem(&waiting, key);

	if (!w || !w->count)
		return false;
	*sent = w->sent[w->first & (WAITING - 1)];
	w->first = (w->first + 1) & (WAITING - 1);
	w->count--;
	return true;
}

/* Whether the one that sends, or the one that is sent to, is of the target. Whether the latter has the
 * cgroup or the name that are asked for shows only when it runs. */
static __always_inline bool concerns(__u16 in, struct task_struct *task)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (in != WB_WAKER_INTERRUPT && wb_selected(tgid) == WB_TARGET_ACTIVE)
		return true;
	if (wb_self && task->tgid == wb_self)
		return false;
	if (wb_by_cgroup || wb_by_comm)
		return false;
	return !wb_by_tree || wb_look_up(task->tgid) == WB_TARGET_ACTIVE;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_generated, int signal, struct kernel_siginfo *info, struct task_struct *task,
	     int group, int result)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct signals_event e = { .event = WB_SIGNAL_GENERATED, .action = WB_ACTION_NONE };
	struct waiting_key key = { .signal = signal, .group = !!group };
	struct sent sent = {};

	e.context = context();
	if (!concerns(e.context, task))
		return 0;
	e.ts = bpf_ktime_get_boot_ns();
	e.pid = task->tgid;
	e.tid = group ? task->tgid : task->pid;
	e.sender_pid = e.context == WB_WAKER_INTERRUPT ? 0 : id >> 32;
	e.sender_tid = e.context == WB_WAKER_INTERRUPT ? 0 : (__u32)id;
	e.code = code_of(info);
	e.signal = signal;
	e.cpu = bpf_get_smp_processor_id();
	e.result = result;
	e.group = !!group;
	if (result == WB_RESULT_QUEUED || result == WB_RESULT_LOSE_INFO) {
		key.id = e.tid;
		sent.ts = e.ts;
		sent.pid = e.sender_pid;
		sent.tid = e.sender_tid;
		push(&key, &sent);
	}
	send(ctx, &e);
	return 0;
}

SEC("tp_btf/signal_deliver")
int BPF_PROG(signal_delivered, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct signals_event e = { .event = WB_SIGNAL_DELIVERED, .result = WB_RESULT_NONE };
	struct waiting_key key = { .signal = signal };
	struct sent sent = {};
	void *handler = 0;

	if (wb_selected(id >> 32) != WB_TARGET_ACTIVE)
		return 0;
	e.ts = bpf_ktime_get_boot_ns();
	e.pid = id >> 32;
	e.tid = (__u32)id;
	e.code = code_of(info);
	e.signal = signal;
	e.cpu = bpf_get_smp_processor_id();
	e.context = WB_WAKER_NONE;
	handler = BPF_CORE_READ(action, sa.sa_handler);
	e.action = (long)handler == SIG_DFL ? WB_ACTION_DEFAULT :
		   (long)handler == SIG_IGN ? WB_ACTION_IGNORE : WB_ACTION_HANDLER;
	/* In the order of dequeue_signal(): what waits for the thread comes first. */
	key.id = e.tid;
	if (!pop(&key, &sent)) {
		key.id = e.pid;
		key.group = 1;
		pop(&key, &sent);
	}
	e.latency = sent.ts ? e.ts - sent.ts : 0;
	e.sender_pid = sent.pid;
	e.sender_tid = sent.tid;
	send(ctx, &e);
	return 0;
}
