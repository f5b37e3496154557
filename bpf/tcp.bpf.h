/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The event of the kind tcp, what is noted of a socket, and what is read of the kernel's. */
#ifndef WORKBENCH_TCP_BPF_H
#define WORKBENCH_TCP_BPF_H

#include "socket.bpf.h"
#include "syscall.bpf.h"

#define WB_IPPROTO_TCP 6 /* include/uapi/linux/in.h */
#define WB_SOCK_DONE 1   /* enum sock_flags, include/net/sock.h: the peer's FIN has come */

/* include/net/tcp_states.h; network_names.py has the same names. */
enum wb_tcp_state {
	WB_STATE_NONE,
	TCP_ESTABLISHED,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};
enum wb_tcp_state *wb_enum_tcp_state __attribute__((unused));

/* What happened; network_names.py has the same names. */
enum wb_tcp_event {
	WB_TCP_STATE,
	WB_TCP_CONNECT,
	WB_TCP_ACCEPT,
	WB_TCP_CLOSED,
	WB_TCP_OPEN, /* at the end of the capture */
	WB_TCP_SAMPLE,
	WB_TCP_RETRANSMIT,
	WB_TCP_RESET_SENT,
	WB_TCP_RESET_RECEIVED,
	WB_TCP_CONGESTION,
	WB_TCP_DROP,
};
enum wb_tcp_event *wb_enum_tcp_event __attribute__((unused));

/* Why: retransmits' own, then the kernel's numbers, whose names user space takes from its BTF. */
enum wb_reason {
	WB_REASON_NONE,
	WB_REASON_SYN,     /* the SYN was not answered */
	WB_REASON_SYNACK,  /* the SYN-ACK was not answered */
	WB_REASON_TIMEOUT, /* RTO: no acknowledgement in time (RFC 6298) */
	WB_REASON_FAST,    /* later segments were acknowledged (RFC 5681, 6675) */
	WB_REASON_PROBE,   /* tail loss probe (RFC 8985, 7) */
	WB_REASON_RESET = 0x100, /* enum sk_rst_reason */
	WB_REASON_DROP = 0x200,  /* enum skb_drop_reason */
};
enum wb_reason *wb_enum_reason __attribute__((unused));

typedef __u16 wb_tcp_event;
typedef __u16 wb_tcp_state;
typedef __u16 wb_congestion;
typedef __u16 wb_reason;
typedef __u64 wb_cookie;
typedef __u32 wb_segments;

struct tcp_event {
	wb_time_ns ts WB_DOC("when it happened, UTC");
	wb_duration_ns latency WB_DOC("connect: since the SYN; accept: time in the queue of the listener; "
				      "state: time in the old state; closed, open: since start; else 0");
	wb_time_ns start WB_DOC("when the connection began or, if it is partial, was first seen, UTC");
	wb_cookie socket WB_DOC("cookie of the socket, unique until the next boot; `ss -e` shows it as sk; "
				"0: not known");
	wb_inode inode WB_DOC("inode of the socket, as in /proc/PID/fd; 0: not accepted yet");
	wb_bytes bytes_sent WB_DOC("bytes sent so far, without those that were sent again");
	wb_bytes bytes_retrans WB_DOC("bytes sent again so far");
	wb_bytes bytes_acked WB_DOC("acknowledged by the other side so far; its SYN and FIN count 1 each");
	wb_bytes bytes_received WB_DOC("bytes received in order so far");
	wb_bytes size WB_DOC("retransmit, drop: bytes of the segment; else 0");
	wb_duration_ns rtt WB_DOC("smoothed round-trip time; 0: not measured yet");
	wb_duration_ns rtt_var WB_DOC("its mean deviation");
	wb_segments cwnd WB_DOC("congestion window, in segments");
	wb_segments ssthresh WB_DOC("slow start threshold, in segments; 2147483647: none yet");
	wb_segments retransmits WB_DOC("segments sent again so far");
	wb_segments in_flight WB_DOC("segments sent and not acknowledged");
	wb_segments dropped WB_DOC("segments for the socket that were dropped so far; of a listener: most of them "
				   "connections that its backlog had no room for");
	__u32 pad;
	wb_pid pid WB_DOC("process that opened, accepted or, until then, listens for it");
	wb_tid tid WB_DOC("thread that did");
	wb_tcp_event event WB_DOC("what happened");
	wb_tcp_state state WB_DOC("state of the connection, after a change the new one");
	wb_tcp_state old_state WB_DOC("state, closed, connect: the state before; else none");
	wb_congestion congestion WB_DOC("state of congestion control");
	wb_reason reason WB_DOC("why: of retransmits, resets (Linux 6.10 and later) and drops");
	wb_errno errno WB_DOC("error of the socket, 0: none");
	wb_role role WB_DOC("client: it connected; server: it was connected to");
	wb_flag partial WB_DOC("1: it was open before the capture saw it");
	WB_END_FIELDS;
	wb_cpu cpu WB_DOC("CPU on which it happened");
};
WB_EVENT(tcp_event);

/* What is noted of a socket. */
struct note {
	__u64 start;
	__u64 changed; /* when it came into the state that it is in */
	__u64 sampled;
	__u64 socket;
	__u64 inode;
	__u64 bytes_sent, bytes_retrans, bytes_received; /* those that are counted already */
	__u32 pid, tid;
	__u32 dropped; /* counted already */
	__u32 pad2;
	__u16 role;
	__u8 partial;
	__u8 waits; /* for accept() */
	__u8 told;  /* its last event was sent */
	__u8 is_counted;
	__u8 pad[2];
};

struct tcp_sock {
	__u32 packets_out;
	__u32 srtt_us;
	__u32 mdev_us;
	__u32 snd_cwnd;
	__u32 snd_ssthresh;
	__u32 total_retrans;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
} __attribute__((preserve_access_index));

struct sock___tcp {
	struct {
		int counter;
	} sk_drops;
} __attribute__((preserve_access_index));

struct inet_connection_sock {
	__u8 icsk_ca_state : 5;
} __attribute__((preserve_access_index));

struct request_sock {
	struct sock_common __req_common;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct sock *sk;
	unsigned int len;
} __attribute__((preserve_access_index));

struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
} __attribute__((preserve_access_index));

enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2, /* CO-RE takes the running kernel's */
};

static __always_inline __u8 congestion_of(const struct sock *sk)
{
	const struct inet_connection_sock *icsk = (const void *)sk;

	return BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state);
}

static __always_inline __u16 retransmit_reason(const struct sock *sk)
{
	enum { RECOVERY = 3, LOSS = 4 }; /* enum tcp_ca_state, include/uapi/linux/tcp.h */
	__u8 congestion = congestion_of(sk);
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == TCP_SYN_SENT)
		return WB_REASON_SYN;
	if (state == TCP_SYN_RECV)
		return WB_REASON_SYNACK;
	if (congestion == LOSS)
		return WB_REASON_TIMEOUT;
	return congestion == RECOVERY ? WB_REASON_FAST : WB_REASON_PROBE;
}

/* A full backlog has no tracepoint and gives its segment no reason: tcp_conn_request() counts it. */
static __always_inline __u32 drops_of(const struct sock *sk)
{
	return BPF_CORE_READ((const struct sock___tcp *)sk, sk_drops.counter);
}

static __always_inline void fill_counters(struct tcp_event *e, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;
	unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);

	e->bytes_retrans = BPF_CORE_READ(tcp, bytes_retrans);
	e->bytes_sent = BPF_CORE_READ(tcp, bytes_sent) - e->bytes_retrans;
	e->bytes_acked = BPF_CORE_READ(tcp, bytes_acked);
	/* The FIN has a sequence number, which the kernel counts: tcp_rcv_nxt_update(). */
	e->bytes_received = BPF_CORE_READ(tcp, bytes_received);
	if (flags & 1UL << WB_SOCK_DONE && e->bytes_received)
		e->bytes_received--;
	e->rtt = (__u64)(BPF_CORE_READ(tcp, srtt_us) >> 3) * 1000; /* kept as 8 times itself */
	e->rtt_var = (__u64)(BPF_CORE_READ(tcp, mdev_us) >> 2) * 1000;
	e->cwnd = BPF_CORE_READ(tcp, snd_cwnd);
	e->ssthresh = BPF_CORE_READ(tcp, snd_ssthresh);
	e->retransmits = BPF_CORE_READ(tcp, total_retrans);
	e->in_flight = BPF_CORE_READ(tcp, packets_out);
	e->dropped = drops_of(sk);
}

/* What was sent and received before is not counted. */
static __always_inline void note_counters(struct note *note, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;

	note->bytes_retrans = BPF_CORE_READ(tcp, bytes_retrans);
	note->bytes_sent = BPF_CORE_READ(tcp, bytes_sent) - note->bytes_retrans;
	note->bytes_received = BPF_CORE_READ(tcp, bytes_received);
	note->dropped = drops_of(sk);
}

static __always_inline void fill(struct tcp_event *e, __u16 event, const struct sock *sk,
				 struct note *note, __u64 now)
{
	__u64 inode = wb_read_inode(sk);

	if (inode)
		note->inode = inode;
	__builtin_memset(e, 0, sizeof(*e));
	e->ts = now;
	e->start = note->start;
	e->socket = note->socket;
	e->inode = note->inode;
	e->pid = note->pid;
	e->tid = note->tid;
	e->role = note->role;
	e->partial = note->partial;
	e->event = event;
	e->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	e->congestion = congestion_of(sk);
	e->errno = BPF_CORE_READ(sk, sk_err);
	e->cpu = bpf_get_smp_processor_id();
	wb_read_socket_ends(WB_ENDS(e), sk);
	fill_counters(e, sk);
}

#endif
