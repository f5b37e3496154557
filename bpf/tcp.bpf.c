// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The life of each TCP connection of the target: an event for each thing that happens to it, with
 * the counters of the socket at that moment; or counts and histograms made in the kernel.
 *
 * Most of it happens in softirqs on top of any task. So who opened a socket in its own context is
 * noted in the socket's storage; a connection that arrives gets a copy of its listener's note
 * (BPF_F_CLONE, net/core/bpf_sk_storage.c) until somebody accepts it.
 */
#include "tcp_counts.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 sample_ns = 100000000; /* least time between two samples of a connection */
const volatile __u32 states = 1;            /* 0: no events of state changes */
const volatile __u32 aggregate = 0;         /* 1: counts in the kernel, no events */
const volatile __u32 nr_accept = -1;
const volatile __u32 nr_accept4 = -1;

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct note);
} notes SEC(".maps");

/* Connections that wait for accept(), beyond any listener's backlog: nothing that the kernel shows at the accept gives the socket
 * in a way that the verifier trusts with its storage, so they are found by address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* address of the socket */
	__type(value, struct note);
} waiting SEC(".maps");

static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return sk->sk_protocol == WB_IPPROTO_TCP && (family == WB_AF_INET || family == WB_AF_INET6);
}

static __always_inline struct note *noted(const struct sock *sk)
{
	struct note *note = bpf_sk_storage_get(&notes, (void *)sk, 0, 0);

	if (note && note->waits) {
		__u64 key = (__u64)sk;
		struct note *entry = bpf_map_lookup_elem(&waiting, &key);

		if (entry && !entry->waits) { /* somebody has accepted it */
			note->pid = entry->pid;
			note->tid = entry->tid;
			note->inode = entry->inode;
			note->waits = 0;
			bpf_map_delete_elem(&waiting, &key);
		}
	}
	return note;
}

static __always_inline void emit(void *ctx, struct tcp_event *e, struct note *note)
{
	if (aggregate)
		count(e, note);
	else
		wb_output(ctx, e, sizeof(*e));
}

/* Note that the socket is the current task's. */
static __always_inline struct note *take(const struct sock *sk, __u16 role)
{
	struct note *note = bpf_sk_storage_get(&notes, (void *)sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 id = bpf_get_current_pid_tgid();

	if (!note) {
		wb_lose(WB_DROP_MAP_FULL);
		return 0;
	}
	__builtin_memset(note, 0, sizeof(*note));
	note->start = note->changed = bpf_ktime_get_boot_ns();
	note->socket = bpf_get_socket_cookie((void *)sk);
	note->pid = id >> 32;
	note->tid = id;
	note->role = role;
	note->partial = role == WB_ROLE_UNKNOWN;
	if (note->partial)
		note_counters(note, sk);
	return note;
}

/* A connection has arrived: its note is the listener's still. */
static __always_inline void arrive(const struct sock *sk, struct note *note)
{
	note->start = note->changed = bpf_ktime_get_boot_ns();
	note->socket = bpf_get_socket_cookie((void *)sk);
	note->inode = note->sampled = 0;
	note->bytes_sent = note->bytes_retrans = note->bytes_received = note->dropped = 0;
	note->role = WB_ROLE_SERVER;
	note->partial = 0;
	note->is_counted = 0;
}

static __always_inline void wait_for_accept(const struct sock *sk, struct note *note)
{
	__u64 key = (__u64)sk;

	note->waits = 1;
	if (bpf_map_update_elem(&waiting, &key, note, BPF_ANY))
		note->waits = 0; /* its accept will be partial */
}

static __always_inline void forget(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&waiting, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, const struct sock *sk, int old, int new)
{
	__u16 event = WB_TCP_STATE;
	struct tcp_event e;
	struct note *note;
	__u64 now;

	if (old == new || !is_tcp(sk)) /* close() in FIN_WAIT2 changes nothing */
		return 0;
	if ((new == TCP_SYN_SENT || new == TCP_LISTEN) && /* in the context of its owner */
	    wb_selected(bpf_get_current_pid_tgid() >> 32) == WB_TARGET_ACTIVE)
		note = take(sk, new == TCP_LISTEN ? WB_ROLE_LISTENER : WB_ROLE_CLIENT);
	else
		note = noted(sk);
	if (!note)
		return 0;
	if (old == TCP_LISTEN && new == TCP_SYN_RECV)
		arrive(sk, note);
	now = bpf_ktime_get_boot_ns();
	if (old == TCP_SYN_SENT && new == TCP_ESTABLISHED)
		event = WB_TCP_CONNECT;
	else if (new == TCP_CLOSE)
		event = WB_TCP_CLOSED;
	if (event != WB_TCP_STATE || states) {
		fill(&e, event, sk, note, now);
		e.old_state = old;
		e.state = new;
		e.latency = now - (event == WB_TCP_STATE ? note->changed : note->start);
		emit(ctx, &e, note);
	}
	note->changed = now;
	if (old == TCP_SYN_RECV && new == TCP_ESTABLISHED)
		wait_for_accept(sk, note);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(accepted, void *regs, long ret)
{
	struct note *entry, none = {};
	__u64 key, now, id, inode;
	struct tcp_event e;
	struct sock *sk;
	__u32 nr;

	if (ret < 0)
		return 0;
	nr = syscall_number(regs);
	if (nr != nr_accept && nr != nr_accept4)
		return 0;
	id = bpf_get_current_pid_tgid();
	if (wb_selected(id >> 32) != WB_TARGET_ACTIVE)
		return 0;
	sk = wb_socket_of(ret, &inode);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != WB_IPPROTO_TCP)
		return 0;
	key = (__u64)sk;
	now = bpf_ktime_get_boot_ns();
	entry = bpf_map_lookup_elem(&waiting, &key);
	if (entry) {
		entry->pid = id >> 32;
		entry->tid = id;
	} else { /* its listener is not the target's, or it arrived before the capture */
		entry = &none;
		entry->start = entry->changed = now;
		entry->pid = id >> 32;
		entry->tid = id;
		entry->role = WB_ROLE_SERVER;
		entry->partial = 1;
	}
	fill(&e, WB_TCP_ACCEPT, sk, entry, now);
	e.latency = now - entry->changed;
	emit(ctx, &e, 0);
	entry->waits = 0; /* the next event of the socket takes the owner over */
	return 0;
}

/* A socket that was there before the capture belongs to whom is seen to use it. */
static __always_inline void used(const struct sock *sk)
{
	if (wb_selected(bpf_get_current_pid_tgid() >> 32) != WB_TARGET_ACTIVE || !is_tcp(sk))
		return;
	if (!noted(sk))
		take(sk, WB_ROLE_UNKNOWN);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk)
{
	used(sk);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk)
{
	used(sk);
	return 0;
}

static __always_inline int send(void *ctx, const struct sock *sk, __u16 event, __u16 reason,
				__u64 size)
{
	struct note *note = noted(sk);
	struct tcp_event e;

	if (!note)
		return 0;
	fill(&e, event, sk, note, bpf_ktime_get_boot_ns());
	e.reason = reason;
	e.size = size;
	emit(ctx, &e, note);
	return 0;
}

/* At each segment that arrives on an established connection, before it is worked on. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(segment, struct sock *sk)
{
	struct note *note = noted(sk);
	struct tcp_event e;
	__u64 now;

	if (!note)
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (now - note->sampled < sample_ns)
		return 0;
	note->sampled = now;
	fill(&e, WB_TCP_SAMPLE, sk, note, now);
	emit(ctx, &e, note);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, const struct sock *sk, const struct sk_buff *skb)
{
	return send(ctx, sk, WB_TCP_RETRANSMIT, retransmit_reason(sk), skb->len);
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack_retransmitted, const struct sock *sk, const struct request_sock *request)
{
	struct note *note = noted(sk); /* the listener's */
	struct tcp_event e;

	if (!note)
		return 0;
	fill(&e, WB_TCP_RETRANSMIT, sk, note, bpf_ktime_get_boot_ns());
	wb_read_ends(WB_ENDS(&e), &request->__req_common);
	e.reason = WB_REASON_SYNACK;
	e.state = TCP_NEW_SYN_RECV;
	e.role = WB_ROLE_SERVER;
	emit(ctx, &e, 0);
	return 0;
}

/* Linux 6.10 and later tell the reason. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent_with_reason, const struct sock *sk, const struct sk_buff *skb,
	     __u32 reason)
{
	return sk ? send(ctx, sk, WB_TCP_RESET_SENT, WB_REASON_RESET | (reason & 0xff), 0) : 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, const struct sock *sk)
{
	return sk ? send(ctx, sk, WB_TCP_RESET_SENT, WB_REASON_NONE, 0) : 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	return send(ctx, sk, WB_TCP_RESET_RECEIVED, WB_REASON_NONE, 0);
}

SEC("tp_btf/tcp_cong_state_set")
int BPF_PROG(congestion_changed, struct sock *sk, __u8 state)
{
	struct note *note;
	struct tcp_event e;

	if (congestion_of(sk) == state)
		return 0;
	note = noted(sk);
	if (!note)
		return 0;
	fill(&e, WB_TCP_CONGESTION, sk, note, bpf_ktime_get_boot_ns());
	e.congestion = state;
	emit(ctx, &e, note);
	return 0;
}

static __always_inline int drop(void *ctx, const struct sock *sk, const struct sk_buff *skb,
				__u32 reason)
{
	/* The first ones are no drops: include/net/dropreason-core.h. */
	if (reason <= bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED) ||
	    reason > 0xff)
		return 0;
	return send(ctx, sk, WB_TCP_DROP, WB_REASON_DROP | reason, skb->len);
}

/* Linux 6.11 and later tell the socket that was to receive it. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped_for, struct sk_buff *skb, void *location, __u32 reason, struct sock *to)
{
	struct sock *sk;

	if (to)
		return drop(ctx, to, skb, reason);
	sk = skb->sk;
	return sk ? drop(ctx, sk, skb, reason) : 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped, struct sk_buff *skb, void *location, __u32 reason)
{
	struct sock *sk = skb->sk;

	return sk ? drop(ctx, sk, skb, reason) : 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroyed, struct sock *sk)
{
	forget(sk);
	return 0;
}

static __always_inline struct sock *listed(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	barrier_var(file); /* or it is read anew after the test */
	if (!file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	return sk && is_tcp(sk) ? sk : 0;
}

/* Run once at the start: sockets that the target has open already. Only trees of processes can be
 * told here; other targets' sockets are noted when they are used. */
SEC("iter/task_file")
int before(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct note *note;
	struct sock *sk;

	if (!task || !wb_by_tree || wb_look_up(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	sk = listed(ctx);
	if (!sk || noted(sk))
		return 0;
	note = take(sk, sk->__sk_common.skc_state == TCP_LISTEN ? WB_ROLE_LISTENER :
								  WB_ROLE_UNKNOWN);
	if (note) {
		note->pid = note->tid = task->tgid;
		note->partial = 1;
		note_counters(note, sk);
	}
	return 0;
}

/* Run once at the end: the connections that are open still. */
SEC("iter/task_file")
int after(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = listed(ctx);
	struct note *note = sk ? noted(sk) : 0;
	struct tcp_event e;

	if (!note || note->told)
		return 0;
	note->told = 1;
	fill(&e, WB_TCP_OPEN, sk, note, bpf_ktime_get_boot_ns());
	e.latency = e.ts - note->start;
	emit(ctx, &e, note);
	return 0;
}
