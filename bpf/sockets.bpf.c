// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What the target sends and receives: an event for each system call on a socket, or sums and
 * histograms for each socket that are made in the kernel. */
#include "socket_calls.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0;   /* 1: sums in the kernel, no events */
const volatile __u32 by_protocol = 0; /* 1: only those in protocols */
const volatile __u32 protocols = 0;   /* a bit for each of enum wb_protocol */

struct sockets_event {
	wb_time_ns ts WB_DOC("entry into the system call, UTC");
	wb_duration_ns latency WB_DOC("time from entry to return, with the wait for data; about 0 if the "
				      "call began before the capture");
	wb_retval ret WB_DOC("return value: bytes or messages; -4095 to -1 is a negated errno");
	wb_bytes bytes WB_DOC("bytes sent or received, of all messages of the call; 0 if they "
			  "were only looked at (MSG_PEEK)");
	wb_inode inode WB_DOC("inode of the socket, as in /proc/PID/fd");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_messages messages WB_DOC("messages of the call: 1, or what sendmmsg() and recvmmsg() return");
	wb_syscall_nr nr WB_DOC("system call number");
	wb_direction direction WB_DOC("send or receive");
	wb_protocol protocol WB_DOC("protocol of the socket");
	wb_cpu cpu WB_DOC("CPU on which the call returned");
	WB_END_FIELDS;
	__u16 pad;
};
WB_EVENT(sockets_event);

struct aggregate_key {
	wb_inode inode WB_DOC("inode of the socket, as in /proc/PID/fd");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count calls WB_DOC("calls that returned");
	wb_count sends WB_DOC("those that send");
	wb_count receives WB_DOC("those that receive");
	wb_count send_errors WB_DOC("sends that returned an errno");
	wb_count receive_errors WB_DOC("receives that returned an errno");
	wb_bytes bytes_sent WB_DOC("bytes sent");
	wb_bytes bytes_received WB_DOC("bytes received");
	wb_duration_ns send_sum WB_DOC("sum of the latencies of sends");
	wb_duration_ns receive_sum WB_DOC("sum of the latencies of receives");
	wb_count send_hist[HIST_SLOTS] WB_DOC("sends with a latency in [2^i, 2^(i+1)) ns");
	wb_count receive_hist[HIST_SLOTS] WB_DOC("receives with a latency in [2^i, 2^(i+1)) ns");
	wb_pid pid WB_DOC("process that used it last");
	wb_protocol protocol WB_DOC("protocol of the socket");
	__u16 pad;
	WB_END_FIELDS;
	__u16 pad2;
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384)

static __always_inline void add(struct sockets_event *e)
{
	struct aggregate_key key = { .inode = e->inode };
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	WB_ADD(value, calls, 1);
	if (e->direction == WB_SEND) {
		WB_ADD(value, sends, 1);
		WB_ADD(value, send_errors, e->ret < 0);
		WB_ADD(value, bytes_sent, e->bytes);
		WB_ADD(value, send_sum, e->latency);
		WB_ADD_LOG2(value, send_hist, e->latency);
	} else {
		WB_ADD(value, receives, 1);
		WB_ADD(value, receive_errors, e->ret < 0);
		WB_ADD(value, bytes_received, e->bytes);
		WB_ADD(value, receive_sum, e->latency);
		WB_ADD_LOG2(value, receive_hist, e->latency);
	}
	value->pid = e->pid;
	value->protocol = e->protocol;
	__builtin_memcpy(WB_ENDS(value), WB_ENDS(e), sizeof(struct wb_ends));
}

static __always_inline __u64 bytes_of(struct wb_call *call, __u32 messages, long ret)
{
	__u64 bytes = 0;

	if (call->peeks)
		return 0;
	if (call->form != WB_FORM_MESSAGES)
		return ret > 0 ? ret : 0;
	for (__u32 i = 0; i < WB_MAX_MESSAGES && i < messages; i++)
		bytes += wb_message_bytes(call, i, ret);
	return bytes;
}

static __always_inline bool wanted(struct wb_call *call)
{
	return !by_protocol || protocols >> wb_protocol_of(call->sk) & 1;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_begins, void *regs, long id)
{
	struct wb_call *call = wb_call_enter(regs, id);

	if (call && !wanted(call))
		call->sk = 0;
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends, void *regs, long ret)
{
	struct wb_call *call = wb_call_exit(regs);
	struct sockets_event e = {};
	struct wb_msghdr header;
	__u64 id;

	if (!call || !wanted(call))
		return 0;
	id = bpf_get_current_pid_tgid();
	e.ts = call->ts;
	e.latency = bpf_ktime_get_boot_ns() - call->ts;
	e.ret = ret;
	e.inode = call->inode;
	e.pid = id >> 32;
	e.tid = id;
	if (ret >= 0)
		e.messages = call->form == WB_FORM_MESSAGES ? ret : 1;
	e.bytes = bytes_of(call, e.messages, ret);
	e.nr = call->nr;
	e.direction = call->receives;
	e.protocol = wb_protocol_of(call->sk);
	/* What a failed call was to fill in is not there. */
	if ((ret < 0 && call->receives) || !wb_read_header(&header, call, 0))
		header.name = 0;
	wb_read_call_ends(WB_ENDS(&e), call, &header);
	e.cpu = bpf_get_smp_processor_id();
	if (aggregate)
		add(&e);
	else
		wb_output(ctx, &e, sizeof(e));
	call->sk = 0;
	return 0;
}
