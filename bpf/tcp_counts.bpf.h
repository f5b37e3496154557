/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counts of the kind tcp made in the kernel: by process, role, other side and service. */
#ifndef WORKBENCH_TCP_COUNTS_BPF_H
#define WORKBENCH_TCP_COUNTS_BPF_H

#include "tcp.bpf.h"
#include "aggregate.bpf.h"

struct aggregate_key {
	wb_pid pid WB_DOC("process that opened, accepted or, until then, listens for the connections");
	wb_role role WB_DOC("client: it connected; server: it was connected to");
	wb_port port WB_DOC("port of the service: a client's remote one, a server's local one; where the "
			    "role is not known the lower of both");
	wb_address remote_address[16] WB_DOC("address of the other side; :: or 0.0.0.0: none");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count events WB_DOC("what happened to them: rows that the single events would have had");
	wb_count connections WB_DOC("connections that any of it happened to");
	wb_count connects WB_DOC("connections that were made");
	wb_count connect_errors WB_DOC("connections that were asked for in vain");
	wb_count accepts WB_DOC("connections that were accepted");
	wb_count closes WB_DOC("connections that ended");
	wb_bytes bytes_sent WB_DOC("bytes sent during the capture, without those that were sent again");
	wb_bytes bytes_retrans WB_DOC("bytes sent again during the capture");
	wb_bytes bytes_received WB_DOC("bytes received in order during the capture");
	wb_count retransmits WB_DOC("segments sent again");
	wb_count resets_sent WB_DOC("resets sent");
	wb_count resets_received WB_DOC("resets received");
	wb_count drops WB_DOC("segments that this host dropped");
	wb_duration_ns connect_sum WB_DOC("sum of the times from SYN to connection");
	wb_duration_ns accept_sum WB_DOC("sum of the times in the queue of the listener");
	wb_duration_ns duration_sum WB_DOC("sum of the times from the begin to the end of those that ended");
	wb_count connect_hist[HIST_SLOTS] WB_DOC("connects that took [2^i, 2^(i+1)) ns");
	wb_count accept_hist[HIST_SLOTS] WB_DOC("accepts that took [2^i, 2^(i+1)) ns");
	wb_count duration_hist[HIST_SLOTS] WB_DOC("connections that ended after [2^i, 2^(i+1)) ns");
	wb_count rtt_hist[HIST_SLOTS] WB_DOC("samples with a smoothed round-trip time of [2^i, 2^(i+1)) ns");
	wb_family family WB_DOC("address family of the sockets");
	__u16 pad[3];
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384)

/* Counters of the socket up to here are counted already. */
static __always_inline void counted(struct note *note, const struct tcp_event *e)
{
	note->bytes_sent = e->bytes_sent;
	note->bytes_retrans = e->bytes_retrans;
	note->bytes_received = e->bytes_received;
}

static __always_inline void count_key(struct aggregate_key *key, const struct tcp_event *e)
{
	__u16 lower = e->local_port < e->remote_port ? e->local_port : e->remote_port;

	__builtin_memset(key, 0, sizeof(*key));
	key->pid = e->pid;
	key->role = e->role;
	key->port = e->role == WB_ROLE_CLIENT ? e->remote_port :
		    e->role == WB_ROLE_UNKNOWN ? lower : e->local_port;
	__builtin_memcpy(key->remote_address, e->remote_address, 16);
}

#define WB_ADD_TIME(name, ns)                                                                       \
	do {                                                                                       \
		WB_ADD(value, name##_sum, ns);                                                     \
		WB_ADD_LOG2(value, name##_hist, ns);                                               \
	} while (0)
/* The counters are read while others change them: what seems to shrink has not grown. */
#define WB_ADD_GROWTH(name)                                                                         \
	do {                                                                                       \
		if (e->name > note->name)                                                          \
			WB_ADD(value, name, e->name - note->name);                                 \
	} while (0)

static __always_inline void count_what(struct aggregate_value *value, const struct tcp_event *e)
{
	switch (e->event) {
	case WB_TCP_CONNECT:
		WB_ADD(value, connects, 1);
		WB_ADD_TIME(connect, e->latency);
		break;
	case WB_TCP_ACCEPT:
		WB_ADD(value, accepts, 1);
		WB_ADD_TIME(accept, e->latency);
		break;
	case WB_TCP_CLOSED:
		if (e->old_state == TCP_SYN_SENT)
			WB_ADD(value, connect_errors, 1);
		else if (e->role != WB_ROLE_LISTENER) {
			WB_ADD(value, closes, 1);
			WB_ADD_TIME(duration, e->latency);
		}
		break;
	case WB_TCP_SAMPLE:
		if (e->rtt)
			WB_ADD_LOG2(value, rtt_hist, e->rtt);
		break;
	case WB_TCP_RETRANSMIT:
		WB_ADD(value, retransmits, 1);
		break;
	case WB_TCP_RESET_SENT:
		WB_ADD(value, resets_sent, 1);
		break;
	case WB_TCP_RESET_RECEIVED:
		WB_ADD(value, resets_received, 1);
		break;
	case WB_TCP_DROP:
		WB_ADD(value, drops, 1);
		break;
	}
}

/* Count an event. Its note is 0 where the counters are not the socket's own. */
static __always_inline void count(const struct tcp_event *e, struct note *note)
{
	struct aggregate_value *value;
	struct aggregate_key key;
	bool is_new;

	count_key(&key, e);
	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	value->family = e->family;
	WB_ADD(value, events, 1);
	count_what(value, e);
	if (note) {
		if (!note->is_counted && note->role != WB_ROLE_LISTENER)
			WB_ADD(value, connections, 1);
		note->is_counted = 1;
		WB_ADD_GROWTH(bytes_sent);
		WB_ADD_GROWTH(bytes_retrans);
		WB_ADD_GROWTH(bytes_received);
		counted(note, e);
	}
}

#endif
